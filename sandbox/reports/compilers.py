"""Finds the first error and its place in what C compilers and test programs say."""

import re
from collections.abc import Callable

_MOST = 200_000
_ERROR = re.compile(r"^(\S[^:\n]*):(\d+)(?::\d+)?:\s*(?:fatal )?error\b.*$", re.MULTILINE)
_OTHER = re.compile(r"^.*(?:\*\*\* |CMake Error|undefined reference|: error[: ]|^FAILED: ).*$", re.MULTILINE)
_PLACE = re.compile(r"(?:^|[\s(\"'])((?:[\w.+-]+/|/)*[\w.+-]+\.(?:c|cc|cpp|cxx|h|hh|hpp|hxx|C|txt|cmake)):?[:(](\d+)")
_LINES = 60


def first_error(text: str, relative: Callable[[str], str], *, whole: bool = False) -> tuple[str, str, int]:
    """What was said from its first error on (or all of it if `whole`), and the first place in the repository that it
    names; `relative` makes a path relative to the repository's root, empty for one outside."""
    text = text[-_MOST:]
    found = _ERROR.search(text) or _OTHER.search(text)
    message = text
    if not whole:
        lines = text[found.start() :].splitlines() if found else text.splitlines()[-_LINES:]
        message = "\n".join(lines[:_LINES])
    for match in (*_ERROR.finditer(message), *_PLACE.finditer(message)):
        path = relative(match[1])
        if path:
            return message, path, int(match[2][:9])
    return message, "", 0
