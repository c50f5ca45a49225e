"""General edit operators by family. Importing this package registers all of them."""

from . import (
    assignments,
    calls,
    checks,
    conditions,
    conversions,
    definitions,
    exceptions,
    guards,
    insertions,
    names,
    numbers,
    protocols,
    statements,
    strings,
    values,
    variants,
)
from .base import Proposal, Site, families, proposals

__all__ = [
    "Proposal",
    "Site",
    "assignments",
    "calls",
    "checks",
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
    "protocols",
    "statements",
    "strings",
    "values",
    "variants",
]
