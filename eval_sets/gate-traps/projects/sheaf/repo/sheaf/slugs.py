"""Names of notes in addresses."""

import re
import unicodedata


def slug(title, limit=40):
    """A title in small letters, digits and hyphens, of at most `limit` characters, cut between words."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain.lower())
    kept = ""
    for word in words:
        longer = f"{kept}-{word}" if kept else word
        if len(longer) > limit:
            break
        kept = longer
    return kept or "note"


def unique(name, taken):
    """The name, or the name with the lowest number from 2 on that is not taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"
