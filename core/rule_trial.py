"""Which past events a rule would have started tasks for: an answer from the event log, which changes nothing.

The log keeps the changes of tickets for `keep_events_days`, with what rules look at; changes from before Penstock
recorded that cannot be judged, and are counted. Past checks are not kept: of rules about them, only the heads that such
a rule has looked at are known.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import ValidationError

from core.events import CHANGES
from core.happenings import SAME_SECONDS
from core.intents import about_ticket
from core.rules import Kind, Rules, Signal
from core.tickets import TICKET_CHANGED, TicketChange
from core.watched_checks import Watched, list_watched

MOST = 10_000
"""Events that are judged, the newest; and the most that are listed."""


@dataclass(frozen=True)
class Start:
    """An event that would have started a task: `what` matched, `starter` caused it."""

    source: str
    service: str
    project: str
    key: str
    title: str
    what: str
    starter: str | None
    at: datetime


@dataclass(frozen=True)
class Trial:
    """`since` and `until`: the times of the oldest and the newest event that was judged (None: there is none).
    `judged` counts events about issues with what rules look at, `unknown` the changes of tickets without it, which
    includes those in which nothing happened that could start work. `cut`: there are more than `MOST`. `looked`: what
    became of heads whose checks had failed, of branches that the rules name, while a rule in effect named them too."""

    starts: tuple[Start, ...]
    since: datetime | None
    until: datetime | None
    judged: int
    unknown: int
    cut: bool
    looked: tuple[Watched, ...] = ()


_PAST = """
SELECT body ->> 'subject', body -> 'data' -> 'change', body -> 'data' -> 'signal', appended_at FROM event_log
WHERE topic = %(topic)s AND team_id = %(team)s AND body ->> 'type' = %(type)s
    AND (%(source)s::text IS NULL OR body ->> 'subject' = %(source)s)
    AND appended_at > now() - %(days)s * interval '1 day'
ORDER BY appended_at DESC LIMIT %(most)s
"""


def try_rules(
    connection: Connection[TupleRow], team_id: uuid.UUID, rules: Rules, *, days: float, source: str | None = None
) -> Trial:
    """Judges the stored events of the last `days`, of one source or all. Several reports of one event count once."""
    rows = connection.execute(
        _PAST.encode(),
        {
            "topic": CHANGES,
            "team": team_id,
            "type": TICKET_CHANGED,
            "source": source,
            "days": days,
            "most": MOST + 1,
        },
    ).fetchall()
    starts: list[Start] = []
    seen: dict[tuple[str, ...], list[datetime]] = {}
    times: list[datetime] = []
    unknown = 0
    for name, change, signal, appended in reversed(rows[:MOST]):
        if signal is None:
            unknown += 1
            continue
        try:
            judged = TicketChange.model_validate(change), Signal.model_validate(signal)
        except ValidationError:  # of another version
            unknown += 1
            continue
        times.append(appended)
        found = _start(str(name), *judged, rules, appended)
        if found is not None and _is_new(found, seen):
            starts.append(found)
    return Trial(
        tuple(starts),
        min(times, default=None),
        max(times, default=None),
        len(times),
        unknown,
        len(rows) > MOST,
        tuple(_looked(connection, rules, days, source)),
    )


def _looked(connection: Connection[TupleRow], rules: Rules, days: float, source: str | None) -> list[Watched]:
    if not rules.wants(Kind.FAILED):
        return []
    found = list_watched(connection, days=days, source=source)
    return [one for one in found if rules.watching(one.branch, one.service, one.project) is not None]


def _start(source: str, change: TicketChange, signal: Signal, rules: Rules, appended: datetime) -> Start | None:
    work = about_ticket(change, None, signal, rules).task
    if work is None or work.happening is None:
        return None
    where = (change.service, change.project, change.key)
    return Start(source, *where, work.title, work.happening.what, signal.actor, signal.at or appended)


def _is_new(found: Start, seen: dict[tuple[str, ...], list[datetime]]) -> bool:
    """Whether no other report of the same event was seen."""
    times = seen.setdefault((found.source, found.service, found.key, found.what), [])
    new = all(abs((found.at - at).total_seconds()) > SAME_SECONDS for at in times)
    times.append(found.at)
    return new
