"""Intents of Bitbucket Cloud webhooks. Pure functions: payload in, intent out.

Webhooks: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/. Bitbucket has no issues, so a task is
started by failed checks alone: pull requests and their comments are ticket changes, with commands and what reviews say.
"""

from collections.abc import Mapping
from typing import Any

from core.intake import Intent, NoIntent, RenameIntent, Target
from core.intents import about_ticket, push
from core.payload import Needed, Payload, Text, clean, parse
from core.reviews import of_bitbucket_remark
from core.rules import Rules
from core.tickets.bitbucket import CommentDelivery, Commit, Delivery, Repository
from gateway.checks import status_intent

MOST_CHANGES = 1_000
"""Branches and tags of one push that are looked at."""
_NOTHING = "0" * 40
_OF_PULL_REQUESTS = (
    "created",
    "updated",
    "approved",
    "unapproved",
    "changes_request_created",
    "changes_request_removed",
    "fulfilled",
    "rejected",
    "comment_resolved",
    "comment_reopened",
)
_OF_COMMENTS = ("comment_created", "comment_updated", "comment_deleted")


class _InRepository(Payload):
    repository: Needed[Repository]


class _Ref(Payload):
    """A branch or tag, at a commit."""

    type: Text | None = None
    name: Text | None = None
    target: Commit | None = None


class _RefChange(Payload):
    """`new` is null for what was deleted, `old` for what was made."""

    new: _Ref | None = None
    old: _Ref | None = None

    def pushed(self) -> dict[str, Any]:
        """In the form of other forges' pushes."""
        ref = self.new or self.old or _Ref()
        place = "heads" if ref.type in (None, "branch") else "tags"
        return {
            "ref": f"refs/{place}/{ref.name or ''}",
            "before": _commit(self.old),
            "after": _commit(self.new),
            "deleted": self.new is None,
        }


def _commit(ref: _Ref | None) -> str | None:
    """The commit of a branch or tag; None if it has none, or no full id of it."""
    if ref is None:
        return _NOTHING
    return ref.target.hash if ref.target else None


class _Changes(Payload):
    changes: list[_RefChange] | None = None


class _Pushed(_InRepository):
    push: Needed[_Changes]


class _Names(Payload):
    new: Any = None
    old: Any = None


class _Renamed(Payload):
    full_name: _Names | None = None


class _Moved(_InRepository):
    changes: _Renamed | None = None

    @property
    def former(self) -> str | None:
        """The name before, if this update changed it."""
        old = self.changes and self.changes.full_name and self.changes.full_name.old
        former = clean(old).lower()[:300] if isinstance(old, str) else None
        return former if former != self.repository.full_name else None


def normalise(event: str, payload: Mapping[str, Any], *, rules: Rules) -> Intent:
    """The intent of `event` (the X-Event-Key header). Raises only `BadField`."""
    subject, _, what = event.partition(":")
    if event == "repo:push":
        return _push(payload)
    if event in ("repo:updated", "repo:transfer"):
        moved = parse(_Moved, payload)
        if event == "repo:transfer" or moved.former is not None:
            return RenameIntent(_target(moved.repository), moved.former)
    if subject == "pullrequest" and what in _OF_PULL_REQUESTS:
        delivery = parse(Delivery, payload)
        return about_ticket(delivery.change(what), delivery.repository.identity(), rules=rules)
    if subject == "pullrequest" and what in _OF_COMMENTS:
        commented = parse(CommentDelivery, payload)
        feedback = (
            of_bitbucket_remark(commented.pullrequest.branch, commented.comment) if what == "comment_created" else None
        )
        return about_ticket(commented.change(what), commented.repository.identity(), rules=rules, feedback=feedback)
    if event.startswith("repo:commit_status_") and (failed := status_intent(payload, rules)) is not None:
        return failed
    if subject == "issue":
        return NoIntent(f"{event} starts no work: Bitbucket's issues were withdrawn in August 2026")
    return NoIntent(f"{event} starts no work")


def _push(payload: Mapping[str, Any]) -> Intent:
    """A refresh for the first branch of a push that asks for one: several may be pushed at once."""
    pushed = parse(_Pushed, payload)
    changes = (pushed.push.changes or ())[:MOST_CHANGES]
    found = [push(one.pushed(), lambda: _target(pushed.repository)) for one in changes]
    first = next((one for one in found if not isinstance(one, NoIntent)), None)
    return first or (found[0] if found else NoIntent("push starts no work: it names no branch"))


def _target(repository: Repository) -> Target:
    return Target(repository=repository.full_name, forge_id=repository.identity())
