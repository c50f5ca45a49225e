"""Intents of Jira webhooks.

Webhooks: https://developer.atlassian.com/cloud/jira/platform/webhooks/. Jira's tickets are searchable with a source's
code. They name no repository to change, so they start tasks only by rules that name their project or a transition, at
the source that the project is linked to.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.intake import Intent, NoIntent
from core.intents import about_ticket, new_comment, signal_of
from core.payload import shown
from core.rules import Rules, Signal
from core.tickets import TicketChange, jira
from core.tickets.record import NAME_CHARACTERS


def describe(payload: Mapping[str, Any]) -> str:
    """The delivery's event, for example "jira:issue_updated"."""
    return shown(jira.event_of(payload), 128) or "unknown"


def normalise(payload: Mapping[str, Any], *, rules: Rules) -> Intent:
    """The intent of a delivery. Raises only `BadField`."""
    try:
        delivery = jira.delivery(payload)
    except jira.Unclear as unclear:
        return NoIntent(f"the payload starts no work: {unclear}"[:500])
    if delivery is None:
        return NoIntent(f"{describe(payload)} starts no work")
    change = delivery.change()
    signal = _signal(delivery, change)
    intent = about_ticket(change, None, signal, rules)
    # Events about comments may not say who can see the issue; a sweep reads that, and starts the task.
    unseen = change.ticket is None or change.ticket.title is None
    wanted = unseen and signal is not None and rules.first(signal, change.service, change.project) is not None
    return replace(intent, look=True) if wanted else intent


def _signal(delivery: jira.Delivery, change: TicketChange) -> Signal | None:
    comment = new_comment(change)
    if comment is not None:
        author = delivery.comment.author if delivery.comment else None
        return signal_of(change.ticket, author, comment=comment)
    if change.comment is not None or delivery.event not in ("jira:issue_created", "jira:issue_updated"):
        return None
    opened, log = delivery.event == "jira:issue_created", delivery.changelog
    issue = change.ticket
    signal = signal_of(
        issue,
        delivery.user,
        opened=opened,
        labels=(issue.labels or ()) if issue and opened else log.given("labels") if log else (),
        assigned=(issue.assignees or ()) if issue and opened else log.given("assignee") if log else (),
    )
    status = log.given("status") if log else ()
    return signal.model_copy(update={"status": status[-1][:NAME_CHARACTERS]}) if status else signal
