"""What a GitHub webhook asks of the platform. Pure functions: payload in, intent out.

Payloads: https://docs.github.com/webhooks/webhook-events-and-payloads. Only what starts work is
read strictly; every other kind, known or not, is acknowledged with the reason why it starts none.
"""

from collections.abc import Mapping
from typing import Any

from core.intake import ChangeIntent, Intent, NoIntent, Target, TaskIntent
from gateway.payload import cut_body, cut_title, optional_text_at, shown, text_at, web_address
from gateway.problems import bad_field

TITLE_CHARACTERS = 500
BODY_BYTES = 64 << 10

_OWN_BRANCHES = "refs/heads/penstock/"


def describe(event: str, payload: Mapping[str, Any]) -> str:
    """What the delivery tells, as "issues.opened" or "push"."""
    action = shown(payload.get("action"), 64)
    return f"{event}.{action}" if action else event


def normalise(event: str, payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
    """What `event` (the X-GitHub-Event header) asks for. Raises `Refused` (400) naming the field that is
    missing or of a wrong type; nothing else, whatever the payload."""
    if event == "issues":
        return _issue(payload, trigger_label)
    if event == "push":
        return _push(payload)
    return NoIntent(f"{describe(event, payload)} starts no work")


def _issue(payload: Mapping[str, Any], trigger_label: str | None) -> Intent:
    action = text_at(payload, "action")
    if action == "labeled" and trigger_label:
        label = text_at(payload, "label.name")
        if label.casefold() != trigger_label.casefold():
            return NoIntent(f"label {label[:64]!r} starts no work: the trigger is label {trigger_label!r}")
    elif action != "opened":
        return NoIntent(f"issues.{action[:64]} starts no work")
    elif trigger_label:
        return NoIntent(f"issues.opened starts no work: the trigger is label {trigger_label!r}")
    author = optional_text_at(payload, "issue.user.login")
    return TaskIntent(
        target=_repository(payload),
        title=cut_title(text_at(payload, "issue.title"), TITLE_CHARACTERS),
        body=cut_body(optional_text_at(payload, "issue.body") or "", BODY_BYTES),
        url=web_address(optional_text_at(payload, "issue.html_url")),
        author=author[:200] if author else None,
    )


def _push(payload: Mapping[str, Any]) -> Intent:
    ref = text_at(payload, "ref")
    if not ref.startswith("refs/heads/"):
        return NoIntent(f"push of {ref[:200]} starts no work: it is not a branch")
    if payload.get("deleted") is True:
        return NoIntent(f"push starts no work: branch {ref[11:211]} was deleted")
    if ref.startswith(_OWN_BRANCHES):
        return NoIntent(f"push of {ref[:200]} starts no work: it is a branch of Penstock's own")
    if len(ref) > 1024:
        raise bad_field("ref", "must be at most 1024 characters long")
    commits = {name: text_at(payload, name) for name in ("before", "after")}
    for name, commit in commits.items():
        if not (40 <= len(commit) <= 64 and all(c in "0123456789abcdef" for c in commit)):
            raise bad_field(name, "must be a commit id in hexadecimal")
    return ChangeIntent(target=_repository(payload), data={"ref": ref, **commits})


def _repository(payload: Mapping[str, Any]) -> Target:
    name = text_at(payload, "repository.full_name").lower()
    owner, slash, repository = name.partition("/")
    if not (owner and slash and repository) or len(name) > 300:
        raise bad_field("repository.full_name", 'must be "owner/name"')
    return Target(repository=name)
