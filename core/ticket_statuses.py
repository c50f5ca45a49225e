"""Which status a ticket of a tracker gets as its task goes on: the setting `ticket_statuses`.

An entry is written as `proposed:In Review` or, for some projects only, `proposed:In Review [SHOP]`. Pure functions.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

MOST_STATUSES = 50
_ENTRY = re.compile(r"([a-z]+)\s*:\s*([^\s\[\]](?:[^\[\]\n]{0,198}[^\s\[\]])?)(?:\s*\[([^\[\]\n]{1,300})\])?")


class Stage(StrEnum):
    STARTED = "started"
    """Work on the ticket has begun."""
    PROPOSED = "proposed"
    """A patch for it was published."""
    MERGED = "merged"
    """That patch was merged."""


class BadStatus(ValueError):
    """An entry cannot be read; the message quotes it and says how entries are written."""


@dataclass(frozen=True)
class TicketStatus:
    """The status that tickets of a project, a pattern in which `*` matches any characters, get at a stage."""

    stage: Stage
    status: str
    place: str | None = None


def read_statuses(entries: Iterable[str]) -> tuple[TicketStatus, ...]:
    """Raises `BadStatus`."""
    found = tuple(_read(entry) for entry in entries)
    if len(found) > MOST_STATUSES:
        raise BadStatus(f"there are {len(found)} statuses: at most {MOST_STATUSES} are allowed")
    return found


def status_for(statuses: Iterable[TicketStatus], stage: Stage, project: str) -> str | None:
    """The status that a ticket of a project gets at a stage, by the first entry that names both."""
    for entry in statuses:
        if entry.stage is stage and fnmatchcase(project.casefold(), (entry.place or "*").casefold()):
            return entry.status
    return None


def _read(entry: str) -> TicketStatus:
    found = _ENTRY.fullmatch(entry.strip())
    if found is None or found[1] not in set(Stage):
        raise BadStatus(
            f"{entry[:100]!r} is not a status: write started:STATUS, proposed:STATUS or merged:STATUS, with [PROJECT] "
            "behind it if it is for some projects only"
        )
    return TicketStatus(Stage(found[1]), found[2], found[3])
