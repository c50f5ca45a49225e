"""A connection to a mail server: smtp://[USER:PASSWORD@]HOST[:PORT], with STARTTLS where the server offers it, or
smtps://. A password is sent over TLS only, or on loopback."""

import smtplib
import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from core.access.grants import is_loopback

SECONDS = 30.0
"""Timeout of each step of the conversation with the server."""


@dataclass(frozen=True)
class MailServer:
    """A server as the setting `mail_server` names it."""

    address: str = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or ""

    def connect(self) -> smtplib.SMTP:
        """A connection that is logged in. Raises `smtplib.SMTPException`, `OSError` and `ValueError`."""
        parts = urlsplit(self.address)
        tls = parts.scheme == "smtps"
        port, user = parts.port or (465 if tls else 25), unquote(parts.username or "")
        context = ssl.create_default_context()
        if tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, port, timeout=SECONDS, context=context)
        else:
            server = smtplib.SMTP(self.host, port, timeout=SECONDS)
        try:
            secure = tls
            server.ehlo_or_helo_if_needed()
            if not tls and server.has_extn("starttls"):
                server.starttls(context=context)
                secure = True
            if user:
                if not secure and not is_loopback(self.host):
                    raise ValueError("the server offers no TLS, and a password is not sent without: use smtps://")
                server.login(user, unquote(parts.password or ""))
        except BaseException:
            server.close()
            raise
        return server


def reason(error: Exception) -> str:
    """What the server said; never what was sent to it."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it refuses the user or password of mail_server ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error if isinstance(error.smtp_error, str) else error.smtp_error.decode("ascii", "replace")
        return f"{error.smtp_code} {''.join(c if c.isprintable() else ' ' for c in said)[:300].rstrip()}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"it refuses every receiver: {', '.join(error.recipients)[:300]}"
    return str(error)[:300] or type(error).__name__
