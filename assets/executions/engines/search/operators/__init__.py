"""General edit operators by family. Importing this package registers all of them."""

from . import (
    assignments,
    calls,
    conditions,
    conversions,
    definitions,
    exceptions,
    guards,
    insertions,
    names,
    numbers,
    statements,
    strings,
    values,
)
from .base import Proposal, Site, families, proposals

__all__ = [
    "Proposal",
    "Site",
    "assignments",
    "calls",
    "conditions",
    "conversions",
    "definitions",
    "exceptions",
    "families",
    "guards",
    "insertions",
    "names",
    "numbers",
    "proposals",
    "statements",
    "strings",
    "values",
]
