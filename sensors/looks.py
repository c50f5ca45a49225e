"""Sensors that look several times in one tick: a tick costs two processes far more than a look costs the database."""

import time
from collections.abc import Callable
from typing import TypeVar

from dagster import SkipReason

TICK_SECONDS = 20.0

Found = TypeVar("Found")


def first_found(look: Callable[[], Found | SkipReason], pause: float) -> Found | SkipReason:
    """What `look` finds first, or why it found nothing at its last try within `TICK_SECONDS`. `pause` in seconds."""
    deadline = time.monotonic() + TICK_SECONDS
    while isinstance(found := look(), SkipReason) and time.monotonic() + pause < deadline:
        time.sleep(pause)
    return found
