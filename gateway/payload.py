"""Parses a request's body as a JSON object. Fields are parsed by `core.payload`."""

import gc
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from core.payload import name_of
from gateway.problems import Refused

LARGE_BYTES = 1 << 20
"""Bodies over this size are parsed one at a time."""

_one_large = threading.Lock()


@contextmanager
def room_for(body: bytes) -> Iterator[None]:
    """Waits until no other large body is parsed and read. A parsed body takes up to 25 times its size in memory.

    The garbage collector rests meanwhile: it would visit the millions of new objects over and over, so that the parser,
    which lets no other thread run, would take several times as long.
    """
    if len(body) <= LARGE_BYTES:
        yield
        return
    with _one_large:
        resting = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if resting:
                gc.enable()


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises `Refused` (400) with the reason."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Refused(400, "malformed", f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise Refused(
            400, "malformed", f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise Refused(400, "malformed", "the body is nested too deeply") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise Refused(400, "malformed", "the body holds a number with too many digits") from error
    if not isinstance(value, dict):
        raise Refused(400, "malformed", f"the body must be a JSON object, not {name_of(value)}")
    return value


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not JSON", "", 0)
