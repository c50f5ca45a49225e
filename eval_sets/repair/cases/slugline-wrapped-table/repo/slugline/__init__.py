"""Text for web pages: slugs, excerpts, typography and link texts."""

from slugline.excerpt import excerpt, word_count
from slugline.links import linkify, strip_tags
from slugline.slug import slugify, unique_slug
from slugline.tables import table

__all__ = ["excerpt", "linkify", "slugify", "strip_tags", "table", "unique_slug", "word_count"]
