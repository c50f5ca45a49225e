"""Which role each request needs: the one table that the gate asks. A route that the table does not name is for admins,
unless it only reads."""

import re
from dataclasses import dataclass

from core.access.roles import Role


@dataclass(frozen=True)
class Needed:
    """The role that a request needs, what it does as the audit log names it, and on what."""

    role: Role
    action: str
    subject: str


_ID = r"(?P<subject>[^/]+)"
_OBJECT = r"/objects/(?P<subject>[^/]+/[^/]+)"
_RULES = (
    ("POST", r"/tasks", Role.OPERATOR, "task.create"),
    ("POST", rf"/tasks/{_ID}/cancel", Role.OPERATOR, "task.cancel"),
    ("POST", rf"/tasks/{_ID}/retry", Role.OPERATOR, "task.retry"),
    ("POST", rf"/tasks/{_ID}/answer", Role.OPERATOR, "task.answer"),
    ("POST", rf"/tasks/{_ID}/approve", Role.OPERATOR, "task.approve"),
    ("POST", rf"{_OBJECT}/-/restore", Role.OPERATOR, "object.restore"),
    ("POST", rf"{_OBJECT}/-/terminate", Role.OPERATOR, "object.terminate"),
    ("POST", rf"{_OBJECT}/-/revive", Role.OPERATOR, "object.revive"),
    ("POST", rf"{_OBJECT}/-/retry", Role.OPERATOR, "object.retry"),
    ("POST", rf"{_OBJECT}/[^/-][^/]*", Role.OPERATOR, "object.call"),
    ("POST", rf"/object-types/{_ID}/versions", Role.OPERATOR, "object-type.submit"),
    ("POST", rf"/object-types/{_ID}/back", Role.OPERATOR, "object-type.back"),
    ("POST", rf"/object-types/{_ID}/promote", Role.OPERATOR, "object-type.promote"),
    ("GET", r"/tokens", Role.ADMIN, "token.list"),
    ("POST", r"/tokens", Role.ADMIN, "token.create"),
    ("DELETE", rf"/tokens/{_ID}", Role.ADMIN, "token.revoke"),
    ("GET", r"/audit", Role.ADMIN, "audit.read"),
)
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def needed(method: str, path: str) -> Needed:
    for rule_method, pattern, role, action in _RULES:
        match = re.fullmatch(pattern, path)
        if match and rule_method == ("GET" if method == "HEAD" else method):
            return Needed(role, action, match.groupdict().get("subject") or path)
    return Needed(Role.VIEWER if method in _READING else Role.ADMIN, f"{method} {path}", path)
