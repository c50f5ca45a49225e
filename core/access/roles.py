"""The roles of users and tokens."""

from enum import StrEnum


class Role(StrEnum):
    """Each role may do what those before it may."""

    VIEWER = "viewer"
    """Reads everything of the team but its tokens and its audit log."""
    OPERATOR = "operator"
    """Also creates, cancels, retries and approves tasks."""
    ADMIN = "admin"
    """Also manages the team's tokens and reads its audit log."""

    def allows(self, needed: "Role") -> bool:
        return _RANK[self] >= _RANK[needed]


_RANK = {role: rank for rank, role in enumerate(Role)}


def least(one: Role, other: Role) -> Role:
    """The role that allows no more than either."""
    return min(one, other, key=_RANK.__getitem__)


def most(one: Role, other: Role) -> Role:
    return max(one, other, key=_RANK.__getitem__)
