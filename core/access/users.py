"""The users of a team, in a transaction of the team (`Database.team`)."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import class_row

from core.access.errors import Conflict, NotFound
from core.access.names import shown, user_name
from core.access.roles import Role

MOST_USERS = 10_000


@dataclass(frozen=True)
class User:
    """`tokens` counts those that are neither revoked nor expired."""

    id: uuid.UUID
    name: str
    role: str
    created_at: datetime
    tokens: int


_SELECT = (
    "SELECT u.id, u.name, u.role, u.created_at, "
    "(SELECT count(*) FROM api_tokens a WHERE a.user_id = u.id AND a.revoked_at IS NULL "
    "AND (a.expires_at IS NULL OR a.expires_at > now())) AS tokens FROM users u"
)


def list_users(connection: Connection[Any]) -> list[User]:
    """By name."""
    with connection.cursor(row_factory=class_row(User)) as cursor:
        cursor.execute(f"{_SELECT} ORDER BY lower(u.name)".encode())
        return cursor.fetchall()


def find_user(connection: Connection[Any], name: str) -> User:
    """The user with this name, in any case of letters. Raises `BadName`, `NotFound`."""
    with connection.cursor(row_factory=class_row(User)) as cursor:
        cursor.execute(f"{_SELECT} WHERE lower(u.name) = lower(%s)".encode(), (user_name(name),))
        user = cursor.fetchone()
    if user is None:
        raise NotFound(f"the team has no user {shown(name)}: `penstock user list` shows all")
    return user


def add_user(connection: Connection[Any], team: uuid.UUID, name: str, role: Role) -> User:
    """Raises `BadName`, `Conflict`."""
    count = connection.execute("SELECT count(*) FROM users").fetchone()
    if count and count[0] >= MOST_USERS:
        raise Conflict(f"the team has {MOST_USERS} users already: remove one first")
    try:
        connection.execute("INSERT INTO users (team_id, name, role) VALUES (%s, %s, %s)", (team, user_name(name), role))
    except psycopg.errors.UniqueViolation:
        raise Conflict(f"the team has a user {shown(name)} already: `penstock user role` changes the role") from None
    return find_user(connection, name)


def set_role(connection: Connection[Any], name: str, role: Role) -> User:
    """The user's tokens allow no more than the new role from now on. Raises `BadName`, `NotFound`."""
    user = find_user(connection, name)
    connection.execute("UPDATE users SET role = %s WHERE id = %s", (role, user.id))
    return find_user(connection, name)


def remove_user(connection: Connection[Any], name: str) -> User:
    """Removes a user with all tokens. Raises `BadName`, `NotFound`."""
    user = find_user(connection, name)
    connection.execute("DELETE FROM users WHERE id = %s", (user.id,))
    return user
