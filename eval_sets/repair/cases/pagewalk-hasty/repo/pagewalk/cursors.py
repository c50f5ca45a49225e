"""Cursors: the place in a list after which the next page begins, as a text without meaning for clients."""

import base64
import json


class BadCursor(ValueError):
    """A text that this server has not made."""


def encode(created, identity):
    """The cursor after the item with this time and id."""
    raw = json.dumps([created, identity], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text):
    """The time and the id. Raises BadCursor."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        created, identity = json.loads(raw)
    except ValueError:
        raise BadCursor("not a cursor of this server: start again without one") from None
    if not isinstance(created, int) or not isinstance(identity, str):
        raise BadCursor("not a cursor of this server: start again without one")
    return created, identity
