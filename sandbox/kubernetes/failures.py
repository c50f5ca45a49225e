"""Answers of the API server that are not success."""

import contextlib
import json
from typing import Any

_MOST = 500


class ApiFailure(Exception):
    """`status` is 0 when there was no answer; `pause` is what the server asks for, in seconds."""

    def __init__(self, status: int, message: str, pause: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.pause = float(pause) if pause and pause.isdecimal() else None


def said(body: Any) -> str:
    """The message in an answer, cut."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    return text[:_MOST].strip() or "no message"
