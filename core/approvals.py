"""A person's approval of patches that are held back. Publishing what was approved is the stage `results`'s work."""

import uuid
from typing import Any

from psycopg import Connection


def approve(connection: Connection[Any], task_id: uuid.UUID, person: str) -> int:
    """Releases what is held of a task, in a transaction of its team. Returns the number of publications, which are
    then due."""
    return connection.execute(
        "UPDATE publications SET state = 'pending', approved_by = %s, next_try_at = now(), last_error = NULL, "
        "updated_at = now() WHERE task_id = %s AND state = 'held'",
        (person[:200], task_id),
    ).rowcount
