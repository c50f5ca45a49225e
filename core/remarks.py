"""Remarks: what people say about a task while an attempt works on it, and how the attempt hears of them.

A remark is an answer that nobody asked for, and is stored as one (`core.answers`). An attempt that runs observes it; it
is part of the text of all attempts after that one, and of one that no run has claimed yet.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from core.answers import ANSWER_CHARACTERS
from core.eventlog.postgres import PostgresLog
from core.questions import answer
from core.tasks import IllegalMove

AT_ONCE = 10
"""Remarks that an attempt hears at a time, the oldest first; the others a moment later."""


@dataclass(frozen=True)
class Remark:
    """`id` is that of the answer, as text."""

    id: str
    author: str
    text: str


def add_remark(
    connection: Connection[Any], log: PostgresLog, task_id: uuid.UUID, key: str, author: str, text: str
) -> bool:
    """Stores what somebody says who may, once by (task, `key`); a waiting task goes on with it. Of a longer text, the
    first 8,000 characters. False if the task is closed or nothing is said. Raises `TaskNotFound`."""
    said = text.strip()[:ANSWER_CHARACTERS]
    if not said:
        return False
    try:
        answer(connection, log, task_id, author, said, key=key)
    except IllegalMove:
        return False
    return True


def find_remarks(connection: Connection[Any], task_id: uuid.UUID, limit: int = AT_ONCE) -> list[Remark]:
    """What nobody has heard yet, the oldest first."""
    rows = connection.execute(
        "SELECT id::text, author, body FROM answers WHERE task_id = %s AND state = 'accepted' AND attempt IS NULL "
        "ORDER BY received_at, id LIMIT %s",
        (task_id, limit),
    ).fetchall()
    return [Remark(*row) for row in rows]


def mark_observed(
    connection: Connection[Any], task_id: uuid.UUID, attempt: int, seq: int, heard: Sequence[str]
) -> None:
    """Notes that entry `seq` of an attempt's trajectory has these remarks. A repeat changes nothing."""
    connection.execute(
        "UPDATE answers SET attempt = %s, observed = %s, outcome = %s WHERE task_id = %s AND id = ANY(%s::uuid[]) "
        "AND attempt IS NULL",
        (attempt, seq, f"attempt {attempt} observed it while it ran", task_id, list(heard)),
    )
