"""How settings give roles to groups of an OIDC issuer, and which addresses of an issuer are safe to ask.

Imported by `core.settings`, so it imports neither that nor the database.
"""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from core.access.errors import BadName
from core.access.names import role_named, team_name
from core.access.roles import Role

MOST_GRANTS = 1000


def split_grants(value: Any) -> Any:
    """`GROUP=ROLE` and `GROUP=TEAM/ROLE`, separated by commas, or a table of them, as a dictionary. Raises
    `ValueError`."""
    if isinstance(value, str):
        pairs = [part.strip().rpartition("=") for part in value.split(",") if part.strip()]
        if wrong := next((grant for group, _, grant in pairs if not group.strip()), None):
            raise ValueError(f"{wrong[:80]!r} names no group: write GROUP=ROLE or GROUP=TEAM/ROLE")
        value = {group.strip(): grant.strip() for group, _, grant in pairs}
    if isinstance(value, dict):
        if len(value) > MOST_GRANTS:
            raise ValueError(f"has more than {MOST_GRANTS} groups")
        for grant in value.values():
            if isinstance(grant, str):
                parse_grant(grant)
    return value


def parse_grant(text: str) -> tuple[str | None, Role]:
    """The team's name, None for the default team, and the role, of `ROLE` or `TEAM/ROLE`. Raises `BadName`, which is
    a `ValueError`."""
    team, slash, role = text.rpartition("/")
    if slash and not team:
        raise BadName("team", f"{text[:80]!r} names no team: write TEAM/ROLE")
    return (team_name(team) if slash else None), role_named(role)


def is_safe_address(address: str) -> bool:
    """Whether it is an https address without a login, query or fragment, or such an http address on loopback."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.query or parts.fragment or not address.isprintable():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
