"""What an import asks of a service's API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from assets.context.tickets.apis.reader import Reader
from core.payload import BadField
from core.tickets import TicketChange


@dataclass
class Page:
    """What one page brought: changes in the order to be applied, the address of the next page, and what could not be
    read, with the reason."""

    changes: list[TicketChange] = field(default_factory=list)
    next: str | None = None
    skipped: list[str] = field(default_factory=list)

    def skip(self, item: object, error: BadField) -> None:
        name = item.get("html_url") or item.get("web_url") or item.get("key") if isinstance(item, Mapping) else None
        self.skipped.append(f"{str(name)[:200]}: {error}")


class TicketApi(Protocol):
    """A service. `address` is where its public instance is, or None where every user has their own."""

    @property
    def address(self) -> str | None: ...

    def headers(self, token: str | None) -> dict[str, str]:
        """What authenticates a request, and says which version of the API is meant."""

    def steps(self, project: str, since: datetime | None) -> Sequence[str]:
        """The first address of each step, relative to the service's. With `since`, only what changed from then on."""

    def page(self, reader: Reader, step: int, url: str, project: str, since: datetime | None) -> Page:
        """Reads one page of a step. Raises `ApiError`."""
