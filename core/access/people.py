"""What the claims of a person's token allow: the roles of their groups, and those of the users of that name."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from core.access.grants import parse_grant
from core.access.names import USER_CHARACTERS
from core.access.roles import Role, most
from core.settings import Settings
from core.teams import DEFAULT_TEAM

MOST_GROUPS = 2000
EMAIL = "email"


@dataclass(frozen=True)
class Person:
    """A person as the issuer describes them. `user` is the name that they can be a user of a team by; None if the
    issuer does not vouch for it."""

    subject: str
    user: str | None
    groups: frozenset[str]

    @property
    def name(self) -> str:
        return self.user or self.subject


@dataclass(frozen=True)
class Membership:
    team_id: uuid.UUID
    team: str
    role: Role


def person_of(claims: Mapping[str, Any], settings: Settings) -> Person:
    """The person of a verified token's claims."""
    name = _claim(claims, settings.oidc_user_claim)
    if settings.oidc_user_claim == EMAIL and claims.get("email_verified") is not True:
        name = None
    if not isinstance(name, str) or not name or len(name) > USER_CHARACTERS or not name.isprintable():
        name = None
    groups = _claim(claims, settings.oidc_groups_claim)
    groups = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    return Person(
        str(claims["sub"])[:USER_CHARACTERS],
        name,
        frozenset(group for group in groups[:MOST_GROUPS] if isinstance(group, str)),
    )


def memberships(connection: Connection[Any], person: Person, roles: Mapping[str, str]) -> list[Membership]:
    """The person's teams, by name, each with the highest role that a group (`roles`: the setting `oidc_roles`) or a
    user of that name has there. In a transaction of the platform."""
    teams: list[str | None] = []
    given: list[Role] = []
    for group in sorted(person.groups & roles.keys()):
        team, role = parse_grant(roles[group])
        teams.append(team)
        given.append(role)
    rows = connection.execute(
        "SELECT t.id, t.name, g.role FROM unnest(%s::text[], %s::text[]) AS g (team, role) "
        "JOIN teams t ON CASE WHEN g.team IS NULL THEN t.id = %s ELSE lower(t.name) = lower(g.team) END "
        "WHERE t.removed_at IS NULL "
        "UNION ALL SELECT t.id, t.name, u.role FROM users u JOIN teams t ON t.id = u.team_id "
        "WHERE lower(u.name) = lower(%s) AND t.removed_at IS NULL",
        (teams, given, DEFAULT_TEAM, person.user),
    ).fetchall()
    found: dict[uuid.UUID, Membership] = {}
    for team_id, team_name, role_name in rows:
        role = Role(role_name)
        held = found.get(team_id)
        found[team_id] = Membership(team_id, str(team_name), most(role, held.role) if held else role)
    return sorted(found.values(), key=lambda one: one.team.lower())


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by its path with dots."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
