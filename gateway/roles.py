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
_TASK = rf"(?:/web)?/tasks/{_ID}"
"""Over the API, or by a form of the task's page."""
_RULES = (
    ("POST", r"/tasks", Role.OPERATOR, "task.create"),
    ("POST", rf"{_TASK}/cancel", Role.OPERATOR, "task.cancel"),
    ("POST", rf"{_TASK}/retry", Role.OPERATOR, "task.retry"),
    ("POST", rf"{_TASK}/answer", Role.OPERATOR, "task.answer"),
    ("POST", rf"{_TASK}/approve", Role.OPERATOR, "task.approve"),
    ("POST", rf"/web/tasks/{_ID}/say", Role.VIEWER, "thread.push"),
    # What may be done in a thread is its own affair: viewers may add messages where somebody lets them.
    ("POST", r"/sync/push", Role.VIEWER, "thread.push"),
    ("POST", r"/threads/join", Role.VIEWER, "thread.join"),
    ("PUT", rf"/threads/{_ID}/sharing", Role.OPERATOR, "thread.share"),
    ("POST", rf"/threads/{_ID}/turn", Role.OPERATOR, "thread.turn"),
    ("POST", rf"/threads/{_ID}/continue", Role.OPERATOR, "thread.continue"),
    ("PUT", rf"/threads/{_ID}/blobs/[^/]+", Role.VIEWER, "thread.attach"),
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
    ("GET", r"/sessions", Role.ADMIN, "session.list"),
    ("POST", r"/sessions", Role.VIEWER, "session.start"),
    ("DELETE", r"/sessions/current", Role.VIEWER, "session.end"),
    ("DELETE", rf"/sessions/{_ID}", Role.ADMIN, "session.end"),
)
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def needed(method: str, path: str) -> Needed:
    for rule_method, pattern, role, action in _RULES:
        match = re.fullmatch(pattern, path)
        if match and rule_method == ("GET" if method == "HEAD" else method):
            return Needed(role, action, match.groupdict().get("subject") or path)
    return Needed(Role.VIEWER if method in _READING else Role.ADMIN, f"{method} {path}", path)
