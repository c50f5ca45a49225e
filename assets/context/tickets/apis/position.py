"""Where a reader of a service's API stands, so that an import or a sweep that was interrupted goes on from there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from psycopg.types.json import Jsonb

from assets.context.tickets.apis.protocol import Page, TicketApi
from assets.context.tickets.apis.reader import ApiError, Reader


@dataclass(frozen=True)
class Position:
    """The step (None: complete) and the page to read next (None: the first of the step), of a pass that began at
    `began` and reads what changed since `since` (None: everything)."""

    step: int | None
    next: str | None
    since: datetime | None
    began: datetime

    def to_json(self) -> Jsonb | None:
        """None if the pass is complete."""
        if self.step is None:
            return None
        since = self.since.isoformat() if self.since else None
        return Jsonb({"step": self.step, "next": self.next, "since": since, "began": self.began.isoformat()})

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Self:
        since = datetime.fromisoformat(held["since"]) if held["since"] else None
        return cls(int(held["step"]), held["next"], since, datetime.fromisoformat(held["began"]))


def read_page(api: TicketApi, reader: Reader, project: str, at: Position) -> tuple[Page, Position]:
    """The page at an incomplete position, and the position after it. Raises `ApiError`."""
    assert at.step is not None  # noqa: S101  the caller has looked
    firsts = api.steps(project, at.since)
    url = at.next or firsts[at.step]
    page = api.page(reader, at.step, url, project, at.since)
    if page.next == url:
        raise ApiError("a page links to itself as the next page: the service's paging is broken")
    last = at.step + 1 >= len(firsts)
    step = at.step if page.next else None if last else at.step + 1
    return page, Position(step, page.next, at.since, at.began)
