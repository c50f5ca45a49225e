"""One module per language parsed by tree-sitter, with its `Grammar`: which nodes of its syntax trees define what.

`tree` cuts files into segments by it, and `isolated` runs that in a process of its own.
"""
