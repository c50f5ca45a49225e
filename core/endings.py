"""How tasks have ended, in words: a task's state together with what became of its patch or report.

A task is `resolved` once the gate accepts a patch. Whether that patch is published is another matter, which its
publication says; a draft also says why it is one.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from core.states import CLOSED_TASK_STATES, PublicationState, TaskState
from core.work import VerdictKind

# The publication of an attempt: the one that waits for a person, else the one with a patch.
_ENDINGS = """
SELECT t.id, t.state, v.verdict, v.body -> 'reasons' AS reasons, p.target, p.state AS publication,
    p.patch_sha256 IS NOT NULL AS has_patch, p.location, p.last_error AS error, u.url AS pull
FROM tasks t
LEFT JOIN verdicts v ON (v.task_id, v.attempt) = (t.id, t.attempt)
LEFT JOIN follow_ups u ON (u.task_id, u.attempt) = (t.id, t.attempt)
LEFT JOIN LATERAL (
    SELECT * FROM publications p WHERE (p.task_id, p.attempt) = (t.id, t.attempt)
    ORDER BY p.state = 'held' DESC, p.patch_sha256 IS NULL, p.target LIMIT 1
) p ON true
WHERE t.id = ANY(%s)
"""
_LONGEST = 300


@dataclass(frozen=True)
class Ending:
    """`publication` is the state of the publication of the task's last attempt, None if that has none; `reasons` say
    why a verdict is only a draft. `pull` is the pull request that a follow-up adds to."""

    state: TaskState
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    target: str | None = None
    publication: PublicationState | None = None
    has_patch: bool = False
    location: str | None = None
    error: str | None = None
    pull: str | None = None

    @property
    def closed(self) -> bool:
        return self.state in CLOSED_TASK_STATES

    @property
    def settled(self) -> bool:
        """Whether nothing more happens to it without a person."""
        return self.closed and self.publication is not PublicationState.PENDING

    @property
    def unpublished(self) -> bool:
        """Whether it was to be published, and will not be without a person."""
        return self.publication in (PublicationState.REFUSED, PublicationState.DEAD_LETTERED)

    @property
    def draft(self) -> bool:
        return self.has_patch and self.verdict == VerdictKind.DRAFT

    @property
    def word(self) -> str:
        """One word for a table: of a published result `published`, `draft` or `report`, otherwise the publication's
        state; empty while there is no result."""
        if self.publication is not PublicationState.PUBLISHED:
            return str(self.publication or "")
        return ("draft" if self.draft else "published") if self.has_patch else "report"

    def sentence(self) -> str:
        """What became of the patch or report, and why it is only a draft; empty while there is neither."""
        if self.publication is None or not self.closed:
            return ""
        what = ("the draft" if self.draft else "the patch") if self.has_patch else "the report"
        where, why = self.location or str(self.target), _cut(self.error or "no reason is known")
        kept = where.startswith("task:")
        said = {
            PublicationState.PUBLISHED: f"{what} stays with the task" if kept else f"{what} is at {where}",
            PublicationState.PENDING: f"{what} is not published yet" + (f": {_cut(self.error)}" if self.error else ""),
            PublicationState.HELD: f"{what} is not published: it waits for approval ({why})",
            PublicationState.REFUSED: f"{what} is NOT published: {self.target} refused it: {why}",
            PublicationState.DEAD_LETTERED: f"{what} is NOT published: {self.target} could not take it: {why}",
        }[self.publication]
        if self.pull and not self.has_patch and self.publication is PublicationState.PUBLISHED:
            said = f"nothing was added to {self.pull}"
        return f"{said}. {self.why_draft()}".rstrip().removesuffix(".")

    def why_draft(self) -> str:
        """Why it is only a draft, as one sentence; empty for any other verdict."""
        if not self.draft:
            return ""
        return "It is a draft because: " + (" ".join(self.reasons) or "the evidence is weaker than for a proven patch.")


def read_endings(connection: Connection[Any], tasks: Iterable[uuid.UUID]) -> dict[uuid.UUID, Ending]:
    """The endings of the team's tasks with these ids, by id."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_ENDINGS, (list(tasks),)).fetchall()
    return {
        row["id"]: Ending(
            TaskState(row["state"]),
            row["verdict"],
            tuple(row["reasons"] or ()),
            row["target"],
            PublicationState(row["publication"]) if row["publication"] else None,
            row["has_patch"],
            row["location"],
            row["error"],
            row["pull"],
        )
        for row in rows
    }


def read_ending(connection: Connection[Any], task: uuid.UUID) -> Ending | None:
    """The ending of one task; None if the team has no such task."""
    return read_endings(connection, [task]).get(task)


def _cut(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
