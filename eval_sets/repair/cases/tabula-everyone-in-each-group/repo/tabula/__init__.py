"""Tables of text: reading and writing them, guessing what columns hold, and showing them."""

from .infer import column_type, convert
from .ops import group_by, join
from .reader import BadTable, read
from .render import cells, cut, render
from .writer import write

__all__ = ["BadTable", "cells", "column_type", "convert", "cut", "group_by", "join", "read", "render", "write"]
