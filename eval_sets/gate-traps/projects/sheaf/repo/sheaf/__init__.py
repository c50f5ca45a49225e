"""Plain text for notes: slugs, wrapping, tables."""

from sheaf.slugs import slug
from sheaf.tables import table
from sheaf.wrapping import wrap

__all__ = ["slug", "table", "wrap"]
