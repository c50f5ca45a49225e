"""Who makes a request, as the gate found out: kept in the request's ASGI scope."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from psycopg import Connection

from core.access.audit import Actor, audited
from core.access.roles import Role
from core.database import Database

CALLER_KEY = "penstock.caller"
"""Key of the `Caller` in the ASGI scope."""
REQUEST_KEY = "penstock.request"
"""Key of the request's id in the ASGI scope."""


@dataclass(frozen=True)
class Caller:
    """An API token or a person, in one team, with the role that they have there."""

    team_id: uuid.UUID
    role: Role
    actor: Actor
    until: float | None = None
    """When a person's token expires, as `time.time` counts."""
    session: uuid.UUID | None = None
    """The session whose access token it is."""
    form_token: str = ""
    """What each form of the session's pages has to carry."""

    @property
    def name(self) -> str:
        return str(self.actor)


@contextmanager
def acting(
    database: Database, request: Request, caller: Caller, action: str, subject: object
) -> Iterator[Connection[Any]]:
    """A transaction of the caller's team, whose success or failure is recorded in the audit log."""
    request_id = str(request.scope.get(REQUEST_KEY, ""))
    with audited(database, caller.team_id, caller.actor, action, subject, request_id) as connection:
        yield connection
