"""A person's approval of patches that are held back. Publishing what was approved is the stage `results`'s work."""

import uuid
from typing import Any

from psycopg import Connection

from core.tasks import IllegalMove


def approve(connection: Connection[Any], task_id: uuid.UUID, person: str) -> int:
    """Releases what is held of a task, in a transaction of its team. Returns the number of publications, which are
    then due. Raises `IllegalMove` if there are none."""
    released = connection.execute(
        "UPDATE publications SET state = 'pending', approved_by = %s, next_try_at = now(), last_error = NULL, "
        "updated_at = now() WHERE task_id = %s AND state = 'held'",
        (person[:200], task_id),
    ).rowcount
    if not released:
        raise IllegalMove(f"nothing of task {task_id} waits for approval")
    return released
