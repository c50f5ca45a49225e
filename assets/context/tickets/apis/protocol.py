"""The protocol by which an import reads a service's API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from assets.context.tickets.apis.reader import Reader
from core.payload import BadField
from core.tickets import TicketChange


@dataclass
class Page:
    """One page: changes in the order to apply them, the URL of the next page, and the items that could not be read,
    with the reason."""

    changes: list[TicketChange] = field(default_factory=list)
    next: str | None = None
    skipped: list[str] = field(default_factory=list)

    def skip(self, item: object, error: BadField) -> None:
        name = item.get("html_url") or item.get("web_url") or item.get("key") if isinstance(item, Mapping) else None
        self.skipped.append(f"{str(name)[:200]}: {error}")


class TicketApi(Protocol):
    """A service's API. `address` is its public instance, or None if there is none."""

    @property
    def address(self) -> str | None: ...

    def headers(self, token: str | None) -> dict[str, str]:
        """The headers that authenticate a request and select the version of the API."""

    def steps(self, project: str, since: datetime | None) -> Sequence[str]:
        """The first URL of each step, relative to the service's address; with `since`, only of changes from then on."""

    def page(self, reader: Reader, step: int, url: str, project: str, since: datetime | None) -> Page:
        """Reads one page of a step. Raises `ApiError`."""
