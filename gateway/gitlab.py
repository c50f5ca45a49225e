"""What a GitLab webhook asks of the platform: who sent it, its delivery id, and its intent.

Webhooks: https://docs.gitlab.com/user/project/integrations/webhooks/. An issue opened is work, as on
GitHub; confidential issues and notes start none, and are kept out of search.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from core.intake import Intent, NoIntent
from core.payload import flag_at, objects_at, shown
from core.signatures import verify_gitlab
from core.tickets import gitlab
from gateway.forge_intents import Opened, about_ticket, push, work_of
from gateway.payload import naming_fields


def verify(secrets: Iterable[str], headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raises `SignatureRefused`."""
    verify_gitlab(
        secrets,
        body,
        token=headers.get("x-gitlab-token"),
        identity=headers.get("webhook-id"),
        timestamp=headers.get("webhook-timestamp"),
        signature=headers.get("webhook-signature"),
        now=now,
    )


def identity(headers: Mapping[str, str], body: bytes) -> str:
    """The id that GitLab keeps when it repeats a delivery. Before 17.4 it had none: there the body stands for it,
    since `X-Gitlab-Event-UUID` is shared by events that cause one another."""
    return headers.get("idempotency-key") or headers.get("webhook-id") or f"sha256-{hashlib.sha256(body).hexdigest()}"


def describe(payload: Mapping[str, Any]) -> str:
    """What the delivery tells, as "issue.open" or "push"."""
    attributes = payload.get("object_attributes")
    action = shown(attributes.get("action"), 64) if isinstance(attributes, Mapping) else None
    kind = shown(payload.get("object_kind") or payload.get("event_name"), 64) or "unknown"
    return f"{kind}.{action}" if action else kind


@naming_fields
def normalise(payload: Mapping[str, Any], *, trigger_label: str | None) -> Intent:
    """Raises `Refused` (400) naming the field that is missing or of a wrong type; nothing else."""
    kind = payload.get("object_kind")
    if kind == "push":
        return push(payload, "project.path_with_namespace")
    if isinstance(kind, str) and kind in ("issue", "work_item", "merge_request", "note"):
        change = gitlab.change(payload)
        if change is not None:
            return about_ticket(change, work_of(_opened(payload), trigger_label) if kind == "issue" else None)
    return NoIntent(f"{describe(payload)} starts no work")


def _opened(payload: Mapping[str, Any]) -> Opened:
    found = {str(label.get("title")) for label in objects_at(payload, "changes.labels.current", 100)}
    before = {str(label.get("title")) for label in objects_at(payload, "changes.labels.previous", 100)}
    confidential = flag_at(payload, "object_attributes.confidential")
    return Opened(
        payload,
        project="project.path_with_namespace",
        title="object_attributes.title",
        body="object_attributes.description",
        url="object_attributes.url",
        author="user.username",
        opened=shown(payload["object_attributes"].get("action"), 64) == "open" and not confidential,
        labels_given=() if confidential else tuple(found - before),
    )
