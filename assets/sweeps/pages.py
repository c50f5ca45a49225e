"""Reads a list that a service's API gives in pages, for what belongs to one issue or pull request."""

from collections.abc import Iterator, Mapping
from typing import Any

from assets.context.tickets.apis import Reader
from assets.context.tickets.apis.github import listed
from core.payload import BadField

MOST_PAGES = 20


def all_pages(reader: Reader, url: str) -> Iterator[Mapping[str, Any]]:
    """The entries of at most `MOST_PAGES` pages. Raises `ApiError`, and `BadField` for an answer that is no list."""
    place: str | None = url
    for _ in range(MOST_PAGES):
        if place is None:
            return
        answer = reader.get(place)
        if not isinstance(answer.body, list):
            raise BadField("the answer", "must be a list")
        yield from listed(answer.body)
        place = answer.next
