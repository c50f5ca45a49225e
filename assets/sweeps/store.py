"""Stores what a sweep has observed and no webhook has brought, through the same intake as webhooks.

Each missing event is a delivery of its own, in a transaction of its own, so that a sweep holds no lock while it waits
for a webhook's. Whatever is stored twice changes nothing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from assets.sweeps.observe import Observed
from assets.sweeps.places import Place
from core.backlog import ANY_NUMBER, Backlog, Overloaded
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.forge.protocol import ForgeUnavailable
from core.intake import Delivery, TicketIntent, is_known, receive
from core.states import DeliveryState

ORIGIN = "sweep"


@dataclass(frozen=True)
class Stored:
    """The number of missed events, and of tasks that they started."""

    missed: int = 0
    tasks: int = 0

    def __add__(self, other: "Stored") -> "Stored":
        return Stored(self.missed + other.missed, self.tasks + other.tasks)


NOTHING = Stored()


def store_missing(
    database: Database, log: PostgresLog, place: Place, observed: Sequence[Observed], backlog: Backlog = ANY_NUMBER
) -> Stored:
    """Stores those of a page that are not known. Raises `ForgeUnavailable` when so many tasks wait that no more are
    accepted; what was stored before is known to the next try."""
    done = NOTHING
    for one in _missing(database, place, observed):
        change = one.intent.change
        digest = hashlib.sha256(change.model_dump_json(exclude_none=True).encode()).digest()
        delivery = Delivery(ORIGIN, one.id, f"{place.service} {change.key}"[:200], digest)
        try:
            with database.team(place.team_id) as connection:
                receipt = receive(connection, log, place.team_id, delivery, one.intent, backlog=backlog)
        except Overloaded as error:
            raise ForgeUnavailable(str(error), error.seconds) from error
        started = receipt.state == DeliveryState.TASK and not receipt.duplicate
        done += Stored(0 if receipt.duplicate else 1, 1 if started else 0)
    return done


def _missing(database: Database, place: Place, observed: Sequence[Observed]) -> list[Observed]:
    """What happened to an issue comes with its change, which is then not stored apart."""
    keys = list({one.intent.change.key for one in observed})
    where = (place.source, place.service, place.project, keys)
    with database.team(place.team_id) as connection:
        rows = connection.execute(
            "SELECT id FROM deliveries WHERE team_id = %s AND id = ANY(%s)",
            (place.team_id, [f"{ORIGIN}:{one.id}" for one in observed]),
        ).fetchall()
        before = {str(row[0]).removeprefix(f"{ORIGIN}:") for row in rows}
        tickets = connection.execute(
            "SELECT key, updated_at, deleted_at, author FROM tickets "
            "WHERE source = %s AND service = %s AND project = %s AND key = ANY(%s) AND title <> ''",
            where,
        ).fetchall()
        parts = connection.execute(
            "SELECT key, part, updated_at, deleted_at, author FROM ticket_parts "
            "WHERE source = %s AND service = %s AND project = %s AND key = ANY(%s)",
            where,
        ).fetchall()
        held = _Held(
            {row[0]: row[2] or row[1] for row in tickets if row[2] or row[3]},
            {(row[0], row[1]): row[3] or row[2] for row in parts if row[3] or row[4]},
        )
        found = []
        for one in observed:
            known = is_known(connection, place.team_id, place.source, one.intent)
            change_apart = one.intent.change.comment is None and (one.intent.task or one.intent.feedback)
            if one.id not in before and not (known and (change_apart or held.has(one.intent))):
                found.append(one)
    starting = {one.intent.change.key for one in found if one.intent.task and one.intent.change.comment is None}
    return [
        one for one in found if one.intent.task or one.intent.change.comment or one.intent.change.key not in starting
    ]


@dataclass(frozen=True)
class _Held:
    """When the stored tickets and comments were last changed at their service, or deleted. Those whose author is
    not known are left out: GitLab's webhooks name an author only in events that the author causes."""

    tickets: dict[str, datetime]
    comments: dict[tuple[str, str], datetime]

    def has(self, intent: TicketIntent) -> bool:
        """Whether what the change reports is stored, in this or a newer form."""
        change, comment = intent.change, intent.change.comment
        if comment is not None:
            found, wanted = self.comments.get((change.key, comment.id)), comment.updated_at or comment.created_at
        else:
            found, wanted = self.tickets.get(change.key), change.ticket.updated_at if change.ticket else None
        return found is not None and (wanted is None or found >= wanted)
