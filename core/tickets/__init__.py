"""Tickets of GitHub, GitLab, Gitea, Bitbucket, Jira and Linear in one format, from webhooks and from REST APIs."""

from core.tickets.record import (
    BODY_BYTES,
    TICKET_CHANGED,
    TITLE_CHARACTERS,
    TRACKERS,
    Comment,
    Kind,
    Service,
    Snapshot,
    State,
    TicketChange,
)

__all__ = [
    "BODY_BYTES",
    "TICKET_CHANGED",
    "TITLE_CHARACTERS",
    "TRACKERS",
    "Comment",
    "Kind",
    "Service",
    "Snapshot",
    "State",
    "TicketChange",
]
