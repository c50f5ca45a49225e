"""Cuts files into chunks: by function, class or heading if the language is known, else by windows of lines."""
