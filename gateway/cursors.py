"""Positions in the list of tasks, as text that clients give back."""

import base64
import binascii
import uuid
from datetime import datetime

from core.tasks import Task
from gateway.problems import bad_field


def cursor_of(task: Task) -> str:
    return base64.urlsafe_b64encode(f"{task.created_at.isoformat()} {task.id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    """Raises `Refused` (400) for what is no cursor."""
    try:
        at, _, identity = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(" ")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        return moment, uuid.UUID(identity)
    except (ValueError, binascii.Error) as error:
        raise bad_field("cursor", "is not a cursor of this gateway") from error
