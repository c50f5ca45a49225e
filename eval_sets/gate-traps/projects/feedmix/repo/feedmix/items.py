"""Entries of feeds, read from lines of `url|title|time`."""

import html
from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    url: str
    title: str
    time: int
    tags: tuple = ()


def read(text):
    """The entries of a feed. Lines that cannot be read are left out. Tags are the words after # in a title."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 3 or not parts[2].isdigit():
            continue
        title = html.unescape(parts[1])
        tags = tuple(word[1:].lower() for word in title.split() if word.startswith("#") and len(word) > 1)
        found.append(Item(parts[0], title, int(parts[2]), tags))
    return found


def short(title, limit=30):
    """A title of at most `limit` characters, cut before a word, with an ellipsis if something was cut."""
    if len(title) <= limit:
        return title
    cut = title[: limit - 1]
    if title[limit - 1] != " " and " " in cut:
        cut = cut[: cut.rindex(" ")]
    return cut.rstrip() + "\u2026"
