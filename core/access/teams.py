"""Teams: added, found, listed and removed, in a transaction of the platform (`Database.system`)."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import class_row

from core.access.errors import Conflict, NotFound
from core.access.names import shown, team_name
from core.states import OPEN_TASK_STATES
from core.teams import DEFAULT_TEAM


@dataclass(frozen=True)
class Team:
    """A team, with how many users, valid tokens, sources and tasks in an open state it has."""

    id: uuid.UUID
    name: str
    created_at: datetime
    users: int
    tokens: int
    sources: int
    open_tasks: int


_SELECT = (
    "SELECT t.id, t.name, t.created_at, "
    "(SELECT count(*) FROM users u WHERE u.team_id = t.id) AS users, "
    "(SELECT count(*) FROM api_tokens a WHERE a.team_id = t.id AND a.revoked_at IS NULL "
    "AND (a.expires_at IS NULL OR a.expires_at > now())) AS tokens, "
    "(SELECT count(*) FROM sources s WHERE s.team_id = t.id) AS sources, "
    "(SELECT count(*) FROM tasks k WHERE k.team_id = t.id AND k.state = ANY(%(open)s)) AS open_tasks "
    "FROM teams t WHERE t.removed_at IS NULL"
)


def _teams(connection: Connection[Any], condition: str = "", **values: Any) -> list[Team]:
    with connection.cursor(row_factory=class_row(Team)) as cursor:
        cursor.execute(f"{_SELECT} {condition}".encode(), {"open": sorted(OPEN_TASK_STATES), **values})
        return cursor.fetchall()


def team_id(connection: Connection[Any], name: str) -> uuid.UUID:
    """The id of the team with this name, in any case of letters. Raises `BadName`, `NotFound`."""
    row = connection.execute(
        "SELECT id FROM teams WHERE lower(name) = lower(%s) AND removed_at IS NULL", (team_name(name),)
    ).fetchone()
    if row is None:
        raise NotFound(f"no team is named {shown(name)}: `penstock team list` shows all")
    return uuid.UUID(str(row[0]))


def show_team(connection: Connection[Any], name: str) -> Team:
    """Raises `BadName`, `NotFound`."""
    return _teams(connection, "AND t.id = %(id)s", id=team_id(connection, name))[0]


def list_teams(connection: Connection[Any]) -> list[Team]:
    """All teams, by name."""
    return _teams(connection, "ORDER BY lower(t.name)")


def add_team(connection: Connection[Any], name: str) -> Team:
    """Raises `BadName`, `Conflict`."""
    try:
        connection.execute("INSERT INTO teams (id, name) VALUES (gen_random_uuid(), %s)", (team_name(name),))
    except psycopg.errors.UniqueViolation:
        raise Conflict(f"there is a team {shown(name)} already") from None
    return show_team(connection, name)


def remove_team(connection: Connection[Any], name: str) -> Team:
    """Removes a team's users, and ends its tokens and the use of its name. Its closed tasks, their results and its
    part of the audit log stay. Raises `BadName`, `NotFound`, and `Conflict` while it has sources or open tasks."""
    identity = team_id(connection, name)
    if identity == DEFAULT_TEAM:
        raise Conflict(
            "the default team cannot be removed: webhooks without a team's name in their address are its own"
        )
    # No source or task can be added until this transaction has ended: each refers to this row.
    connection.execute("SELECT FROM teams WHERE id = %s FOR UPDATE", (identity,))
    found = _teams(connection, "AND t.id = %(id)s", id=identity)
    if not found:
        raise NotFound(f"team {shown(name)} was removed meanwhile")
    team = found[0]
    if team.sources or team.open_tasks:
        raise Conflict(
            f"team {team.name} still has {_count(team.sources, 'source')} and {_count(team.open_tasks, 'open task')}: "
            f"remove them with `penstock index remove NAME --team {team.name}` and "
            f"`penstock task cancel ID --team {team.name}` first"
        )
    connection.execute(
        "UPDATE api_tokens SET revoked_at = now() WHERE team_id = %s AND revoked_at IS NULL", (identity,)
    )
    connection.execute("DELETE FROM users WHERE team_id = %s", (identity,))
    connection.execute("UPDATE teams SET removed_at = now() WHERE id = %s", (identity,))
    return team


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
