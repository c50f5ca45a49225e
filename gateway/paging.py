"""Cursors of pages: the time and the id of the last thing on a page, as text that clients hand back."""

import base64
import binascii
import uuid
from datetime import datetime

from gateway.problems import bad_field


def write_cursor(at: datetime, identity: uuid.UUID) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()} {identity}".encode()).decode().rstrip("=")


def read_cursor(cursor: str, field: str = "cursor") -> tuple[datetime, uuid.UUID]:
    try:
        at, _, identity = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(" ")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        return moment, uuid.UUID(identity)
    except (ValueError, binascii.Error) as error:
        raise bad_field(field, "is not a cursor of this gateway") from error
