"""What is known about an exception beyond its type and message: its causes, where each was raised and, for errors of
the operating system, what was asked for. The host decides from it whether the environment failed or the program.
"""

import difflib
import os
import sys
from types import FrameType, TracebackType
from typing import Any

from .instrument import relative_path

Link = dict[str, Any]
_TEXT = 1500
_ASKED = {
    ("locale", "setlocale"): "locale",
    ("socket", "create_connection"): "address",
    ("socket", "getaddrinfo"): "host",
    ("asyncio.base_events", "create_connection"): "host",
}
"""Arguments of functions of the standard library whose errors do not say what was asked for."""


def raised(error: BaseException, root: str) -> list[Link]:
    """The exception and what caused it, outermost first, at most 6 links.

    {"type", "bases": built-in types, "message", "errno", "name", "file", "place": innermost frame [path, line,
    function, module], "inside": innermost frame of the repository or None, "explicit": whether it is the cause of
    the one before it, "asked", "command", "exit", "output", "near"}
    """
    links: list[Link] = []
    seen: list[BaseException] = []
    current: BaseException | None = error
    explicit = True
    while current is not None and current not in seen and len(links) < 6:
        seen.append(current)
        links.append({**_describe(current, root), "explicit": explicit})
        following = getattr(current, "cause", None) if type(current).__name__ == "ConftestImportFailure" else None
        following = following or current.__cause__
        inner = getattr(current, "exceptions", None)
        if following is None and isinstance(inner, tuple) and inner and isinstance(inner[0], BaseException):
            following = inner[0]
        explicit = following is not None
        if following is None and not current.__suppress_context__:
            following = current.__context__
            explicit = following is not None and _raised_by_handler(current, following)
        current = following if isinstance(following, BaseException) else None
    return links


def _raised_by_handler(error: BaseException, context: BaseException) -> bool:
    """Whether `error` was raised by a `raise` in the very handler that caught `context`."""
    trace, caught = error.__traceback__, context.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and caught is not None and trace.tb_frame is caught.tb_frame


def _describe(error: BaseException, root: str) -> Link:
    kind = type(error)
    try:
        message = str(error)
    except Exception as broken:
        message = f"<{type(broken).__name__} in __str__>"
    innermost, inside, asked = _places(error.__traceback__, root)
    found: Link = {
        "type": kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}",
        "bases": [c.__name__ for c in kind.__mro__ if c.__module__ == "builtins"][:-1],
        "message": message[:_TEXT],
        "place": innermost,
        "inside": inside,
        "asked": asked,
    }
    if isinstance(error, OSError):
        found["errno"] = error.errno if isinstance(error.errno, int) else None
        found["file"] = _text(error.filename)
        if found["file"] and isinstance(error, FileNotFoundError) and "/" not in found["file"]:
            found["near"] = _near(found["file"])
    for name in ("name", "argname", "key"):
        if isinstance(value := getattr(error, name, None), str):
            found["name"] = value[:300]
    if isinstance(error, KeyError) and error.args:
        found["name"] = _text(error.args[0])
    if isinstance(error, SyntaxError) and isinstance(error.filename, str):
        found["file"] = relative_path(error.filename, root) or error.filename[-300:]
    if (code := getattr(error, "returncode", None)) is not None and isinstance(code, int):
        found["exit"] = code
        found["command"] = _text(getattr(error, "cmd", ""))
        output = [_text(getattr(error, stream, None)) for stream in ("stdout", "stderr")]
        found["output"] = "\n".join(filter(None, output))[-_TEXT:]
    if kind.__name__ == "ZoneInfoNotFoundError":
        found["zones"] = _has_zones()
    return found


def _places(trace: TracebackType | None, root: str) -> tuple[list[Any] | None, list[Any] | None, str]:
    innermost = inside = None
    asked = ""
    steps = 0
    while trace is not None and steps < 5000:
        frame = trace.tb_frame
        name = frame.f_code.co_filename
        relative = relative_path(name, root)
        module = str(frame.f_globals.get("__name__", ""))[:200]
        innermost = [relative or name[-300:], trace.tb_lineno, frame.f_code.co_name, module]
        if relative is not None:
            inside = innermost
        asked = _argument(frame, module) or asked
        trace = trace.tb_next
        steps += 1
    return innermost, inside, asked


def _argument(frame: FrameType, module: str) -> str:
    wanted = _ASKED.get((module, frame.f_code.co_name))
    return _text(frame.f_locals.get(wanted)) if wanted else ""


def _text(value: object) -> str:
    """A short text of a plain value; empty for anything else, whose methods belong to the repository."""
    if isinstance(value, bytes):
        return value[-_TEXT:].decode(errors="replace")
    if isinstance(value, str):
        return value[-_TEXT:]
    if isinstance(value, tuple | list) and len(value) <= 60:
        return " ".join(_text(part) for part in value)[:_TEXT]
    if isinstance(value, os.PathLike):
        try:
            return str(os.fspath(value))[-_TEXT:]
        except Exception:
            return ""
    return str(value) if type(value) is int else ""


def _near(program: str) -> list[str]:
    """Programs on PATH whose names are like this one."""
    found: set[str] = set()
    for folder in os.environ.get("PATH", "").split(":")[:40]:
        try:
            found.update(os.listdir(folder)[:20_000])  # noqa: PTH208
        except OSError:
            continue
    return difflib.get_close_matches(program, sorted(found), n=5, cutoff=0.7)


def _has_zones() -> bool:
    zones = sys.modules.get("zoneinfo")
    try:
        return zones is not None and bool(zones.available_timezones())
    except Exception:
        return False
