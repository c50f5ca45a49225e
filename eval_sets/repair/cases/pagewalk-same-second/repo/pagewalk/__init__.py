"""A server's lists page by page, and a client that walks through them."""

from .client import Client, Failed, Gone, Refused, Unavailable
from .cursors import BadCursor, decode, encode
from .numbers import page_count, shown_pages
from .store import Store

__all__ = [
    "BadCursor", "Client", "Failed", "Gone", "Refused", "Store", "Unavailable", "decode", "encode", "page_count",
    "shown_pages",
]
