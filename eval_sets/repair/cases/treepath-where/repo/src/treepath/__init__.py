"""Find, change, compare and merge values in nested documents of dicts and lists."""

from treepath.compare import Change, diff
from treepath.merge import merge
from treepath.path import PathError, parse
from treepath.query import find, get, walk
from treepath.update import delete, put

__all__ = ["Change", "PathError", "delete", "diff", "find", "get", "merge", "parse", "put", "walk"]
