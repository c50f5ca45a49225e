"""Deadlines by which models should be retired: what still needs a model, and how urgent that is.

A model is retired on its day if nothing needs it. Otherwise the nightly job warns from `NOTICE` before that day on, and
the model stays: losing content that no other model finds is worse than missing a deadline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from psycopg import Connection
from psycopg.rows import TupleRow

from core.embedding import catalogue
from core.embedding.catalogue import Entry, ModelConflict
from core.states import ModelState

NOTICE = timedelta(days=14)
URGENT = timedelta(days=3)


class Urgency(StrEnum):
    NONE = "none"
    SOON = "soon"
    URGENT = "urgent"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Deadline:
    """`needs` are the reasons why the model cannot be retired now. `days_left` is negative after the deadline.
    `urgency` is `NONE` if nothing needs the model."""

    model_id: int
    model: str
    state: str
    retire_by: datetime
    days_left: float
    needs: tuple[str, ...]
    urgency: Urgency

    @property
    def text(self) -> str:
        """One sentence: the deadline, and what still needs the model."""
        when = f"is due to be retired by {self.retire_by:%Y-%m-%d}"
        if self.days_left < 0:
            when = f"was due to be retired by {self.retire_by:%Y-%m-%d}"
        why = "; ".join(self.needs)
        return f"{self.model} {when}: {why}" if why else f"{self.model} {when}, and nothing needs it"


def deadlines(connection: Connection[TupleRow], now: datetime | None = None) -> list[Deadline]:
    """Deadlines of the models that are not retired yet, the nearest first."""
    at = now or datetime.now(UTC)
    found = catalogue.entries(connection)
    made = [_deadline(connection, entry, found, at) for entry in found if entry.state != ModelState.RETIRED]
    return sorted((one for one in made if one is not None), key=lambda one: one.retire_by)


def _deadline(
    connection: Connection[TupleRow], entry: Entry, others: Sequence[Entry], now: datetime
) -> Deadline | None:
    if entry.retire_by is None:
        return None
    left = entry.retire_by - now
    needs = _needs(connection, entry, others)
    urgency = Urgency.NONE
    if needs:
        for limit, name in ((NOTICE, Urgency.SOON), (URGENT, Urgency.URGENT), (timedelta(0), Urgency.OVERDUE)):
            urgency = name if left <= limit else urgency
    return Deadline(entry.id, entry.name, entry.state, entry.retire_by, left / timedelta(days=1), tuple(needs), urgency)


def _needs(connection: Connection[TupleRow], entry: Entry, others: Sequence[Entry]) -> list[str]:
    serving = [other for other in others if other.state == ModelState.SERVING and other.id != entry.id]
    if entry.state == ModelState.SERVING and not serving:
        return [f"no other model is serving: penstock models add OTHER --migrate replaces {entry.name} behind the gate"]
    try:
        catalogue.check_not_needed(connection, entry.id)
    except ModelConflict as error:
        return [str(error)]
    return []
