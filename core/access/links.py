"""One-time links to sign in, which an operator makes on the machine where Penstock runs: used once, within minutes."""

import secrets
import uuid
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from core.access.roles import Role
from core.access.sessions import Issued, start
from core.access.users import User
from core.credentials import token_hash

LINK = "psl_"
LINK_PERIOD = timedelta(minutes=10)


def make_link(
    connection: Connection[Any], team: uuid.UUID, person: str, role: Role, user: User | None = None
) -> tuple[str, datetime]:
    """The code of a new link, and when it expires; in a transaction of the team."""
    code = LINK + secrets.token_urlsafe(32)
    connection.execute(
        "DELETE FROM sign_in_links WHERE team_id = %s AND expires_at < now() - interval '1 day'", (team,)
    )
    row = connection.execute(
        "INSERT INTO sign_in_links (team_id, code_sha256, person, role, user_id, expires_at) "
        "VALUES (%s, %s, %s, %s, %s, now() + %s) RETURNING expires_at",
        (team, token_hash(code), person, role, user.id if user else None, LINK_PERIOD),
    ).fetchone()
    assert row is not None  # noqa: S101  RETURNING
    return code, row[0]


def whose_link(connection: Connection[Any], code: str) -> str | None:
    """For whom a link still is, without using it; in a transaction of the platform."""
    row = connection.execute(
        "SELECT l.person FROM sign_in_links l JOIN teams m ON m.id = l.team_id WHERE l.code_sha256 = %s "
        "AND l.used_at IS NULL AND l.expires_at > now() AND m.removed_at IS NULL",
        (token_hash(code),),
    ).fetchone()
    return str(row[0]) if row else None


def use_link(connection: Connection[Any], code: str) -> Issued | None:
    """Starts a session of a browser with a link, once; in a transaction of the platform. None if the link is unknown,
    used or expired."""
    row = connection.execute(
        "UPDATE sign_in_links l SET used_at = now() FROM teams m WHERE l.code_sha256 = %s AND l.used_at IS NULL "
        "AND l.expires_at > now() AND m.id = l.team_id AND m.removed_at IS NULL "
        "RETURNING l.team_id, l.person, l.role, l.user_id",
        (token_hash(code),),
    ).fetchone()
    if row is None:
        return None
    team, person, role, user = row
    subject = str(user) if user else f"local:{person}"
    return start(connection, team, "browser", str(person), Role(role), user_id=user, subject=subject[:200])
