"""Edit operators on tree-sitter trees, by family. Importing this package registers all of them."""

from . import calls, conditions, guards, names, numbers, statements, values
from .base import Hints, Proposal, families, kinds, proposals

__all__ = [
    "Hints",
    "Proposal",
    "calls",
    "conditions",
    "families",
    "guards",
    "kinds",
    "names",
    "numbers",
    "proposals",
    "statements",
    "values",
]
