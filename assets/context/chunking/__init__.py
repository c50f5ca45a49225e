"""A file becomes chunks: by function, class or heading where its language is known, by windows of lines elsewhere."""
