"""Sessions: an access token for 15 minutes, and a refresh token that is exchanged for the next pair and then worthless.

A refresh token that is presented again after it was exchanged was copied, so its whole session ends (RFC 9700, section
4.14.2). For a few seconds it may be presented again, since the answer to the exchange can get lost; what was issued
for it before is then worthless in its turn, so that a copy is noticed a little later.

Only hashes are stored, and every request asks the database, so that ending a session, revoking the token that it was
started with, or changing its user's role counts at once. In a transaction of the platform (`Database.system`) unless
said otherwise, since the team is what the token tells.
"""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import class_row

from core.access.errors import NotFound
from core.access.names import USER_CHARACTERS
from core.access.roles import Role, least
from core.credentials import token_hash

ACCESS = "psa_"
REFRESH = "psr_"
ACCESS_PERIOD = timedelta(minutes=15)
REFRESH_PERIOD = timedelta(days=7)
"""A session that is not refreshed for this time is over."""
SESSION_PERIOD = timedelta(days=30)
"""The longest that a session can be refreshed."""
AGAIN_PERIOD = timedelta(seconds=20)
"""How long a refresh token that was exchanged may be presented again."""
KEPT_PERIOD = timedelta(days=30)
"""How long a session that is over stays in the database; the next start deletes older ones."""
MOST_OF_PERSON = 50
"""Sessions that a person has in a team at once; the oldest ends."""

Kind = Literal["browser", "program"]


@dataclass(frozen=True)
class Holder:
    """Who presented a valid access token. `role` is what it allows now, `until` when it expires."""

    session_id: uuid.UUID
    team_id: uuid.UUID
    kind: Kind
    person: str
    subject: str | None
    token_id: uuid.UUID | None
    token_name: str | None
    user: str | None
    """The user whose session or API token it is."""
    role: Role
    form_token: str
    until: datetime


@dataclass(frozen=True)
class Issued:
    """A pair of tokens, which are shown this once. `ends` is when the session is over, however often it is
    refreshed."""

    session_id: uuid.UUID
    team_id: uuid.UUID
    person: str
    access: str
    refresh: str
    ends: datetime


@dataclass(frozen=True)
class Refused:
    """`reused`: the refresh token was exchanged before, so its session has just ended; of the team and person."""

    reused: bool = False
    session_id: uuid.UUID | None = None
    team_id: uuid.UUID | None = None
    person: str = ""


@dataclass(frozen=True)
class Session:
    """A session that is not over."""

    id: uuid.UUID
    kind: str
    person: str
    role: str
    token: str | None
    created_at: datetime
    used_at: datetime
    expires_at: datetime


def start(
    connection: Connection[Any],
    team: uuid.UUID,
    kind: Kind,
    person: str,
    role: Role,
    *,
    user_id: uuid.UUID | None = None,
    token_id: uuid.UUID | None = None,
    subject: str | None = None,
    longest: timedelta = SESSION_PERIOD,
) -> Issued:
    """A new session. With `user_id` or `token_id` it never allows more than that user or API token, and ends with
    it."""
    name = person[:USER_CHARACTERS]
    connection.execute(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE team_id = %s "
        "AND (ended_at < now() - %s OR expires_at < now() - %s) LIMIT 1000)",
        (team, KEPT_PERIOD, KEPT_PERIOD),
    )
    connection.execute(
        "UPDATE sessions SET ended_at = now(), ended_why = 'too many' WHERE id IN (SELECT id FROM sessions "
        "WHERE team_id = %s AND lower(person) = lower(%s) AND ended_at IS NULL ORDER BY created_at DESC OFFSET %s)",
        (team, name, MOST_OF_PERSON - 1),
    )
    row = connection.execute(
        "INSERT INTO sessions (team_id, kind, person, subject, role, user_id, token_id, form_token, expires_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, now() + %s) RETURNING id, expires_at",
        (team, kind, name, subject, role, user_id, token_id, secrets.token_urlsafe(24), longest),
    ).fetchone()
    assert row is not None  # noqa: S101  RETURNING
    return _issue(connection, team, row[0], name, row[1])


def _issue(connection: Connection[Any], team: uuid.UUID, session: uuid.UUID, person: str, ends: datetime) -> Issued:
    access, refresh = ACCESS + secrets.token_urlsafe(32), REFRESH + secrets.token_urlsafe(32)
    for token, kind, period in ((access, "access", ACCESS_PERIOD), (refresh, "refresh", REFRESH_PERIOD)):
        connection.execute(
            "INSERT INTO session_tokens (team_id, token_sha256, session_id, kind, expires_at) "
            "VALUES (%s, %s, %s, %s, least(now() + %s, %s))",
            (team, token_hash(token), session, kind, period, ends),
        )
    return Issued(session, team, person, access, refresh, ends)


_HELD = (
    "SELECT s.id, s.team_id, s.kind, s.person, s.subject, s.token_id, a.name, u.name, s.role, u.role, a.role, "
    "s.form_token, k.expires_at "
    "FROM session_tokens k JOIN sessions s ON s.id = k.session_id JOIN teams m ON m.id = s.team_id "
    "LEFT JOIN api_tokens a ON a.id = s.token_id LEFT JOIN users u ON u.id = coalesce(s.user_id, a.user_id) "
    "WHERE k.token_sha256 = %s AND k.kind = %s AND k.expires_at > now() AND s.ended_at IS NULL "
    "AND s.expires_at > now() AND m.removed_at IS NULL "
    "AND a.revoked_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > now())"
)


def check_access(connection: Connection[Any], token: str, kind: str = "access") -> Holder | None:
    """Whose access token it is; None if it is unknown or expired, or its session is over."""
    row = connection.execute(_HELD.encode(), (token_hash(token), kind)).fetchone()
    if row is None:
        return None
    identity, team, sort, person, subject, token_id, token, user, role, users_role, tokens_role, form, until = row
    allowed = Role(role)
    for other in (users_role, tokens_role):
        allowed = least(allowed, Role(other)) if other else allowed
    return Holder(identity, team, sort, str(person), subject, token_id, token, user, allowed, str(form), until)


def refresh(connection: Connection[Any], token: str) -> Issued | Refused:
    """Exchanges a refresh token for a new pair. The caller commits in either case: what was `reused` ends here."""
    digest = token_hash(token)
    row = connection.execute(
        "SELECT s.id, s.team_id, s.person, s.expires_at FROM session_tokens k JOIN sessions s ON s.id = k.session_id "
        "WHERE k.token_sha256 = %s AND k.kind = 'refresh' FOR UPDATE OF s",
        (digest,),
    ).fetchone()
    if row is None:
        return Refused()
    session, team, person, ends = row
    # Read after the lock is held, so that of two exchanges at once the second sees the first.
    state = connection.execute(
        "SELECT replaced_at IS NOT NULL AND replaced_at < clock_timestamp() - %s FROM session_tokens "
        "WHERE token_sha256 = %s",
        (AGAIN_PERIOD, digest),
    ).fetchone()
    if check_access(connection, token, "refresh") is None:
        return Refused()
    if state is None or state[0]:
        end(connection, session, "reuse")
        return Refused(True, session, team, str(person))
    connection.execute(
        "UPDATE session_tokens SET replaced_at = clock_timestamp() "
        "WHERE session_id = %s AND kind = 'refresh' AND replaced_at IS NULL",
        (session,),
    )
    connection.execute("DELETE FROM session_tokens WHERE session_id = %s AND expires_at <= now()", (session,))
    connection.execute("UPDATE sessions SET used_at = now() WHERE id = %s", (session,))
    return _issue(connection, team, session, str(person), ends)


def end(connection: Connection[Any], session: uuid.UUID, why: str = "signed out") -> bool:
    """Ends a session at once; also in a transaction of its team. Returns whether it was still open."""
    done = connection.execute(
        "UPDATE sessions SET ended_at = now(), ended_why = %s WHERE id = %s AND ended_at IS NULL", (why, session)
    )
    return done.rowcount > 0


_SELECT = (
    "SELECT s.id, s.kind, s.person, s.role, a.name AS token, s.created_at, s.used_at, s.expires_at FROM sessions s "
    "LEFT JOIN api_tokens a ON a.id = s.token_id WHERE s.ended_at IS NULL AND s.expires_at > now() "
    "AND s.used_at > now() - %s"
)


def list_sessions(connection: Connection[Any]) -> list[Session]:
    """The open sessions of a team, in a transaction of it: the newest first, at most 1,000."""
    with connection.cursor(row_factory=class_row(Session)) as cursor:
        return cursor.execute(
            f"{_SELECT} ORDER BY s.created_at DESC, s.id LIMIT 1000".encode(), (REFRESH_PERIOD,)
        ).fetchall()


def end_session(connection: Connection[Any], session: uuid.UUID) -> None:
    """Ends a session of a team, in a transaction of it. Ending it again changes nothing. Raises `NotFound`."""
    if connection.execute("SELECT FROM sessions WHERE id = %s", (session,)).fetchone() is None:
        raise NotFound(f"the team has no session {session}")
    end(connection, session, "ended by an admin")


def is_open(connection: Connection[Any], session: uuid.UUID) -> bool:
    """Whether a session goes on, in a transaction of its team."""
    row = connection.execute(
        "SELECT FROM sessions s LEFT JOIN api_tokens a ON a.id = s.token_id WHERE s.id = %s AND s.ended_at IS NULL "
        "AND s.expires_at > now() AND a.revoked_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > now())",
        (session,),
    ).fetchone()
    return row is not None
