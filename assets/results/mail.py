"""Mail about what needs a person: a patch that waits for approval, a question, a task without a result, dead letters.

Plain text only. All mail of one task answers the same message id, so that mail clients show it as one thread.
"""

import smtplib
import uuid
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any

from assets.results.notices import Notice, Unsent
from core.events import DEAD_LETTERS, OUTCOMES
from core.settings import Settings
from core.smtp import MailServer, reason
from core.states import PublicationState, TaskState

_MESSAGES = uuid.UUID("5e0c1f86-3a0e-5f3e-9d0a-2f6f0c6f4b11")
"""Namespace of message ids, which stay short enough for one line."""
LINE_CHARACTERS = 150
TEXT_CHARACTERS = 1_000
_HELD = "waits for approval"
_UNPUBLISHED = "could not be published"
_ASKS = "waits for an answer"
_WHAT = {
    PublicationState.HELD: _HELD,
    PublicationState.DEAD_LETTERED: _UNPUBLISHED,
    PublicationState.REFUSED: _UNPUBLISHED,
}


class Mail:
    """`server` is an address as `core.smtp` takes it."""

    name = "mail"
    topics = (OUTCOMES, DEAD_LETTERS)

    def __init__(self, server: str, sender: str, receivers: tuple[str, ...]) -> None:
        self._server = MailServer(server)
        self._sender = sender
        self._receivers = receivers

    def body(self, notice: Notice) -> dict[str, Any] | None:
        if notice.task_id is None:
            return _unread(notice)
        what = _what(notice)
        if what is None:
            return None
        publication, event = notice.publication or {}, notice.event
        lines = [
            f"{event.get('title')}",
            "",
            f"Task {notice.task_id}, attempt {notice.attempt}, of source {event.get('source')}: it {what}.",
        ]
        if notice.ticket and notice.ticket.get("url"):
            lines.append(f"Ticket: {notice.ticket['url']}")
        if reason := publication.get("last_error") or event.get("reason"):
            lines.append(f"Why: {reason}")
        if what == _ASKS:
            lines.append(f"It asks: {event.get('question')}")
            lines.append(f"Without an answer it ends without a result after {event.get('days')} days.")
        if publication.get("patch_sha256"):
            lines += [f"It is a draft because: {reason}" for reason in event.get("draft_because") or ()]
        lines += ["", f"    penstock task show {notice.task_id}"]
        if publication.get("state") == PublicationState.DEAD_LETTERED:
            lines.append("    penstock dead-letters list")
        elif what == _ASKS:
            lines.append(f"    penstock task answer {notice.task_id} TEXT")
        elif what != _UNPUBLISHED:
            lines.append(f"    penstock task {'approve' if what == _HELD else 'retry'} {notice.task_id}")
        return {
            "subject": _line(f"[Penstock] {event.get('source')}: {event.get('title')} - {what}"),
            "text": "\n".join(_text(line) for line in lines) + "\n",
            "thread": str(notice.task_id),
            "date": format_datetime(notice.at),
            "data": {"publication": {"target": publication.get("target")}},
        }

    def send(self, identity: str, body: Mapping[str, Any], tries: int) -> None:
        message = self._message(identity, body)
        try:
            with self._server.connect() as server:
                server.send_message(message)  # to as many of the receivers as the server takes
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise Unsent(f"{self._server.host}: {reason(error)}") from None

    def _message(self, identity: str, body: Mapping[str, Any]) -> EmailMessage:
        domain = parseaddr(self._sender)[1].rpartition("@")[2]
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = ", ".join(self._receivers)
        message["Subject"] = body["subject"]
        message["Date"] = body["date"]
        message["Message-ID"] = f"<{uuid.uuid5(_MESSAGES, identity)}@{domain}>"
        if body["thread"]:
            for header in ("In-Reply-To", "References"):
                message[header] = f"<task.{body['thread']}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body["text"], charset="utf-8", cte="quoted-printable")
        return message


def _what(notice: Notice) -> str | None:
    """What a person is needed for; None if for nothing."""
    state = notice.event.get("state")
    if state == TaskState.WAITING:
        return _ASKS
    if not notice.later:
        if state == TaskState.FAILED:
            return "failed"
        if state == TaskState.UNRESOLVED:
            return "has no result"
    publication = notice.publication or {}
    return _WHAT.get(publication["state"]) if "state" in publication else None


def _unread(notice: Notice) -> dict[str, Any]:
    place = f"{notice.event.get('topic')} {notice.event.get('partition')}:{notice.event.get('offset')}"
    lines = [
        f"The record {place} of the event log could not be read.",
        f"Why: {notice.event.get('reason')}",
        "",
        f"    penstock dead-letters show {notice.id}",
    ]
    return {
        "subject": _line(f"[Penstock] a dead letter: {place}"),
        "text": "\n".join(_text(line) for line in lines) + "\n",
        "thread": "",
        "date": format_datetime(notice.at),
        "data": {},
    }


def _line(text: str) -> str:
    """One line for a header."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LINE_CHARACTERS else line[: LINE_CHARACTERS - 1] + "…"


def _text(text: str) -> str:
    """A line of the text, without control characters."""
    return "".join(c if c.isprintable() else " " for c in text)[:TEXT_CHARACTERS].rstrip()


def open_mail(settings: Settings) -> Mail | None:
    if settings.mail_server is None or not settings.mail_from or not settings.mail_to:
        return None
    return Mail(settings.mail_server.get_secret_value(), settings.mail_from, settings.mail_to)
