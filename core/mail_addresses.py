"""Addresses of mail in settings: of people, and of the server."""

import re
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


def check_mail_address(text: str) -> None:
    """Raises `ValueError` unless it is a plain address, such as penstock@example.org."""
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text[:100]!r} is not an address like penstock@example.org")


def is_mail_server(address: str) -> bool:
    """Whether it is smtp:// or smtps:// with a host, and nothing but a login and a port besides."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return False
    plain = not parts.query and not parts.fragment and parts.path in ("", "/") and address.isprintable()
    return parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and plain
