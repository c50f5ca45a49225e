"""API tokens: made, listed and revoked in a transaction of their team, and checked in one of the platform.

Only the hash of a token is stored. The first token, which the platform makes for itself, is in `core.credentials`.
"""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import class_row

from core.access.errors import BadName, Conflict, NotFound
from core.access.names import shown, token_name
from core.access.roles import Role, least
from core.access.users import find_user
from core.credentials import TOKEN_PREFIX, token_hash

MOST_TOKENS = 1000
"""Valid tokens of one team."""


@dataclass(frozen=True)
class Token:
    """A token without its secret. `user` is whose token it is, if it is a person's. `last_used_at` is cut to the
    minute."""

    id: uuid.UUID
    name: str
    role: str
    user: str | None
    state: Literal["valid", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


_SELECT = (
    'SELECT t.id, t.name, t.role, u.name AS "user", t.created_at, t.expires_at, t.revoked_at, t.last_used_at, '
    "CASE WHEN t.revoked_at IS NOT NULL THEN 'revoked' WHEN t.expires_at <= now() THEN 'expired' ELSE 'valid' END "
    "AS state FROM api_tokens t LEFT JOIN users u ON u.id = t.user_id"
)
_VALID = "t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())"


def _tokens(connection: Connection[Any], condition: str, *values: Any) -> list[Token]:
    with connection.cursor(row_factory=class_row(Token)) as cursor:
        cursor.execute(f"{_SELECT} WHERE {condition} ORDER BY t.created_at, t.id LIMIT 1000".encode(), values)
        return cursor.fetchall()


def list_tokens(connection: Connection[Any], *, everything: bool = False) -> list[Token]:
    """The valid tokens, oldest first, at most 1,000; with `everything` the expired and revoked ones too."""
    return _tokens(connection, "true" if everything else _VALID)


def create_token(
    connection: Connection[Any],
    team: uuid.UUID,
    name: str,
    *,
    role: Role | None = None,
    user: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """A new token and its secret, which is shown once and not stored. Without `role` it has that of its user, or
    `viewer`. Raises `BadName`, `NotFound` for an unknown user, and `Conflict`."""
    name = token_name(name)
    person = find_user(connection, user) if user is not None else None
    if person and role and not Role(person.role).allows(role):
        raise BadName("role", f"{person.name} has the role {person.role}: a token of theirs cannot have {role}")
    valid = list_tokens(connection)
    if any(token.name.lower() == name.lower() for token in valid):
        raise Conflict(f"there is a valid token {shown(name)} already: revoke it, or choose another name")
    if len(valid) >= MOST_TOKENS:
        raise Conflict(f"the team has {MOST_TOKENS} valid tokens: revoke those that are not used")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = connection.execute(
        "INSERT INTO api_tokens (team_id, token_sha256, name, role, user_id, expires_at) "
        "VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
        (
            team,
            token_hash(secret),
            name,
            role or (person.role if person else Role.VIEWER),
            person.id if person else None,
            expires_at,
        ),
    ).fetchone()
    assert row is not None  # noqa: S101  of INSERT ... RETURNING
    return _tokens(connection, "t.id = %s", row[0])[0], secret


def find_token(connection: Connection[Any], text: str) -> Token:
    """The token with this id, beginning of an id, or name; a valid one rather than one that is no longer. A token
    itself finds itself, and is not in the message. Raises `NotFound` if there is none, or more than one."""
    if text.startswith(TOKEN_PREFIX):
        own = _tokens(connection, "t.token_sha256 = %s", token_hash(text))
        if not own:
            raise NotFound("the team has no such token: `penstock token list` shows all by name")
        return own[0]
    found = _tokens(
        connection,
        "t.id::text = %s OR lower(t.name) = lower(%s) OR (length(%s) >= 4 AND starts_with(t.id::text, %s))",
        *(text.lower(), text, text, text.lower()),
    )
    found = [token for token in found if str(token.id) == text.lower()] or found
    found = [token for token in found if token.state == "valid"] or found
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"the team has no token {shown(text)}: `penstock token list` shows all")
    ids = ", ".join(str(token.id) for token in found[:5])
    raise NotFound(f"{len(found)} tokens match {shown(text)}: give the id of one ({ids})")


def revoke_token(connection: Connection[Any], identity: uuid.UUID) -> Token:
    """Revokes a token for good. Revoking it again changes nothing. Raises `NotFound`."""
    connection.execute("UPDATE api_tokens SET revoked_at = now() WHERE id = %s AND revoked_at IS NULL", (identity,))
    found = _tokens(connection, "t.id = %s", identity)
    if not found:
        raise NotFound(f"the team has no token {identity}")
    return found[0]


def is_valid(connection: Connection[Any], identity: uuid.UUID) -> bool:
    """Whether a token is neither expired nor revoked, in a transaction of its team."""
    return bool(_tokens(connection, f"t.id = %s AND {_VALID}", identity))


@dataclass(frozen=True)
class Holder:
    """Who presented a valid token, and what it allows: no more than its user's role."""

    team_id: uuid.UUID
    token_id: uuid.UUID
    name: str
    user: str | None
    role: Role


def check_token(connection: Connection[Any], token: str) -> Holder | None:
    """Whose token it is; None if it is unknown, expired or revoked, or its team was removed.

    The lookup is by hash, so its duration reveals nothing about the token. Its last use is written once a minute.
    """
    digest = token_hash(token)
    row = connection.execute(
        "SELECT t.team_id, t.id, t.name, u.name, t.role, u.role, "
        "t.last_used_at IS NULL OR t.last_used_at < date_trunc('minute', now()) "
        "FROM api_tokens t JOIN teams m ON m.id = t.team_id LEFT JOIN users u ON u.id = t.user_id "
        "WHERE t.token_sha256 = %s AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()) "
        "AND m.removed_at IS NULL",
        (digest,),
    ).fetchone()
    if row is None:
        return None
    team, identity, name, user, role, users_role, note_use = row
    if note_use:
        connection.execute(
            "UPDATE api_tokens SET last_used_at = date_trunc('minute', now()) WHERE token_sha256 = %s "
            "AND (last_used_at IS NULL OR last_used_at < date_trunc('minute', now()))",
            (digest,),
        )
    allowed = least(Role(role), Role(users_role)) if users_role else Role(role)
    return Holder(team, identity, str(name), user, allowed)
