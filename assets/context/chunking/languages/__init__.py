"""One module a language: what its syntax trees define, as kinds, names and bodies.

Each module of a tree-sitter grammar offers a `Grammar`; `tree` turns it into segments. Headings of
Markdown and reStructuredText are read from the lines themselves.
"""
