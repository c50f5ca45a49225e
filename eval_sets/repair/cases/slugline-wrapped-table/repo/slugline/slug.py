"""Slugs: the readable last part of an address."""

import re
import unicodedata

MAX_LENGTH = 60

_SPECIAL = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa", "ł": "l"})
_NOT_ALLOWED = re.compile(r"[^a-z0-9]+")


def slugify(title, max_length=MAX_LENGTH):
    """`Größe & Gewicht` becomes `groesse-gewicht`. Cut at a word where possible."""
    text = title.lower().translate(_SPECIAL)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = _NOT_ALLOWED.sub("-", text).strip("-")
    return _cut(slug, max_length) or "untitled"


def _cut(slug, max_length):
    if len(slug) <= max_length:
        return slug
    cut = slug[: max_length + 1].rpartition("-")[0]
    return cut or slug[:max_length]


def unique_slug(title, taken):
    """A slug that is not in `taken`: `news`, `news-2`, `news-3` and so on."""
    slug = slugify(title)
    if slug not in taken:
        return slug
    number = 2
    while f"{slug}-{number}" in taken:
        number += 1
    return f"{slug}-{number}"
