"""Mail about what needs a person: a patch that waits for approval, a task without a result, and dead letters.

Plain text only. All mail of one task answers the same message id, so that mail clients show it as one thread.
"""

import smtplib
import ssl
import uuid
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

from assets.results.notices import Notice, Unsent
from core.access.grants import is_loopback
from core.events import DEAD_LETTERS, OUTCOMES
from core.settings import Settings
from core.states import PublicationState, TaskState

_MESSAGES = uuid.UUID("5e0c1f86-3a0e-5f3e-9d0a-2f6f0c6f4b11")
"""Namespace of message ids, which stay short enough for one line."""
SECONDS = 30.0
"""Timeout of each step of the conversation with the server."""
LINE_CHARACTERS = 150
TEXT_CHARACTERS = 1_000
_HELD = "waits for approval"
_UNPUBLISHED = "could not be published"
_WHAT = {
    PublicationState.HELD: _HELD,
    PublicationState.DEAD_LETTERED: _UNPUBLISHED,
    PublicationState.REFUSED: _UNPUBLISHED,
}


class Mail:
    """`server` is smtp://[USER:PASSWORD@]HOST[:PORT], with STARTTLS where the server offers it, or smtps://. A password
    is sent over TLS only, or on loopback."""

    name = "mail"
    topics = (OUTCOMES, DEAD_LETTERS)

    def __init__(self, server: str, sender: str, receivers: tuple[str, ...]) -> None:
        parts = urlsplit(server)
        self._tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname or "", parts.port or (465 if self._tls else 25)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
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
        if publication.get("patch_sha256"):
            lines += [f"It is a draft because: {reason}" for reason in event.get("draft_because") or ()]
        lines += ["", f"    penstock task show {notice.task_id}"]
        if publication.get("state") == PublicationState.DEAD_LETTERED:
            lines.append("    penstock dead-letters list")
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
            with self._connected() as server:
                server.send_message(message)  # to as many of the receivers as the server takes
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise Unsent(f"{self._host}: {_reason(error)}") from None

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=SECONDS, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=SECONDS)
        try:
            secure = self._tls
            server.ehlo_or_helo_if_needed()
            if not self._tls and server.has_extn("starttls"):
                server.starttls(context=context)
                secure = True
            if self._user:
                if not secure and not is_loopback(self._host):
                    raise ValueError("the server offers no TLS, and a password is not sent without: use smtps://")
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server

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


def _reason(error: Exception) -> str:
    """What the server said; never what was sent to it."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it refuses the user or password of mail_server ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error if isinstance(error.smtp_error, str) else error.smtp_error.decode("ascii", "replace")
        return f"{error.smtp_code} {_text(said)[:300]}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"it refuses every receiver: {', '.join(error.recipients)[:300]}"
    return str(error)[:300] or type(error).__name__


def open_mail(settings: Settings) -> Mail | None:
    if settings.mail_server is None or not settings.mail_from or not settings.mail_to:
        return None
    return Mail(settings.mail_server.get_secret_value(), settings.mail_from, settings.mail_to)
