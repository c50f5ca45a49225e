"""An attempt's trajectory: what it did and saw, in order, kept so that a killed attempt can go on where it was.

An action is stored before it runs, and its outcome with it after. Entries are numbered; an action that is run again has
the number that it had.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.attempts import Attempt
from core.remarks import Remark, find_remarks, mark_observed


@dataclass(frozen=True)
class Entry:
    """`elapsed`: seconds of the attempt's budget that were used when the entry was written, for a finished action when
    it had ended. An action has a `digest` of what was to be done and, once it has ended, its `outcome`; `ended` is the
    number of the last entry that was written while it ran."""

    seq: int
    kind: str
    elapsed: float
    body: dict[str, Any] = field(default_factory=dict)
    digest: str | None = None
    outcome: bytes | None = None
    ended: int | None = None


class Trajectory:
    """The trajectory of a claimed attempt. Each write raises `LeaseLost` once another run holds it."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def entries(self) -> list[Entry]:
        """All entries so far, by earlier runs of the attempt too. Bodies are read only of entries about resuming, and
        of remarks."""
        with self._attempt.database.team(self._attempt.task.team_id) as connection:
            rows = connection.execute(
                "SELECT seq, kind, elapsed, CASE WHEN kind IN ('resume', 'remarks') THEN body ELSE '{}' END, digest, "
                "outcome, ended "
                "FROM trajectory WHERE task_id = %s AND attempt = %s ORDER BY seq",
                self._attempt.key,
            ).fetchall()
        return [Entry(*row) for row in rows]

    def append(self, kind: str, body: dict[str, Any], elapsed: float, digest: str | None = None) -> int:
        """Appends an entry, before an action starts, and returns its number."""
        return self._attempt.record(kind, body, elapsed, digest)

    def finish(self, seq: int, outcome: bytes, elapsed: float, ended: int) -> None:
        """Stores the outcome of action `seq`. A repeat replaces it."""
        with self._attempt.fenced() as connection:
            connection.execute(
                "UPDATE trajectory SET outcome = %s, elapsed = %s, ended = %s "
                "WHERE task_id = %s AND attempt = %s AND seq = %s",
                (outcome, elapsed, ended, *self._attempt.key, seq),
            )

    def remarks(self) -> list[Remark]:
        """What people have said since, the oldest first, as of the last renewal of the lease."""
        if not self._attempt.is_spoken_to:
            return []
        with self._attempt.database.team(self._attempt.task.team_id) as connection:
            return find_remarks(connection, self._attempt.task.id)

    def heard(self, seq: int, remarks: Sequence[Remark]) -> None:
        """Notes that entry `seq` has these remarks. A repeat changes nothing."""
        with self._attempt.fenced() as connection:
            mark_observed(connection, *self._attempt.key, seq, [one.id for one in remarks])
