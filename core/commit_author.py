"""The author of published commits."""

import re

DEFAULT_AUTHOR = ("Penstock", "penstock@localhost")
_IDENTITY = re.compile(r"([^<>\n\0]{1,100}?)\s*<([^<>\s\0]{1,200})>")


def parse_identity(text: str) -> tuple[str, str]:
    """Name and address of `Name <address>`. Raises `ValueError`."""
    found = _IDENTITY.fullmatch(text.strip())
    if found is None or not found[1].strip():
        raise ValueError("must be a name and an address, as Penstock <penstock@example.org>")
    return found[1].strip(), found[2]


def shown(author: tuple[str, str]) -> str:
    """`Name <address>`."""
    return f"{author[0]} <{author[1]}>"
