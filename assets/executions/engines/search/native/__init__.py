"""The part of the engine `search` that repairs other languages than Python, by their tree-sitter trees."""
