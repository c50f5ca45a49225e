"""Publications: what a task's result is sent as, and where to. Stored with the outcome; sent by the stage `results`."""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.tasks import Task


def put_publication(
    connection: Connection[Any], task: Task, target: str, body: Mapping[str, Any], patch_sha256: str | None = None
) -> None:
    """Stores what an attempt publishes, in a fenced transaction of it. A repeat changes nothing."""
    connection.execute(
        "INSERT INTO publications (team_id, task_id, attempt, target, patch_sha256, body) "
        "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (task.team_id, task.id, task.attempt, target, patch_sha256, Jsonb(dict(body))),
    )
