"""Intents of Linear webhooks: https://linear.app/developers/webhooks.

As with Jira, an issue starts work by rules that name its team or a transition, at the source that the team is linked
to.
"""

import time
from collections.abc import Mapping
from typing import Any

from core.intake import Intent, NoIntent
from core.intents import about_ticket, new_comment, signal_of
from core.payload import BadField
from core.rules import Rules, Signal
from core.signatures import TOLERANCE_SECONDS, SignatureRefused
from core.tickets import TicketChange, linear


def normalise(payload: Mapping[str, Any], *, rules: Rules) -> Intent:
    """The intent of a delivery. Raises `BadField`, and `SignatureRefused` if it was sent too long ago."""
    _require_fresh(payload)
    delivery = linear.delivery(payload)
    change = delivery.change() if delivery else None
    if delivery is None or change is None:
        return NoIntent(f"{linear.event_of(payload)} starts no work")
    return about_ticket(change, None, _signal(delivery, change), rules)


def _require_fresh(payload: Mapping[str, Any]) -> None:
    """The time of sending is signed with the rest of the body."""
    sent = payload.get("webhookTimestamp")
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        raise BadField("webhookTimestamp", "must be a number of milliseconds since 1970")
    if not abs(sent) < 1e15 or not abs(time.time() - sent / 1000) <= TOLERANCE_SECONDS:
        raise SignatureRefused("timestamp-stale", "webhookTimestamp is more than five minutes from now")


def _signal(delivery: linear.IssueDelivery | linear.CommentDelivery, change: TicketChange) -> Signal | None:
    if isinstance(delivery, linear.CommentDelivery):
        comment = new_comment(change)
        return signal_of(change.ticket, delivery.remark.user, comment=comment) if comment else None
    issue, was = change.ticket, delivery.was
    opened = delivery.action == "create"
    if issue is None or change.deleted:
        return None
    signal = signal_of(
        issue,
        delivery.by,
        opened=opened,
        labels=issue.labels or () if opened else delivery.given_labels(),
        assigned=issue.assignees or () if opened or "assigneeId" in was else (),
    )
    moved = not opened and "stateId" in was
    return signal.model_copy(update={"status": issue.status}) if moved else signal
