"""General edit operators by family. Importing this package registers all of them."""

from . import calls, conditions, definitions, exceptions, guards, names, numbers, statements, strings, values
from .base import Proposal, Site, proposals

__all__ = [
    "Proposal",
    "Site",
    "calls",
    "conditions",
    "definitions",
    "exceptions",
    "guards",
    "names",
    "numbers",
    "proposals",
    "statements",
    "strings",
    "values",
]
