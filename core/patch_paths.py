"""Which paths a unified diff changes, by git's headers."""

import re
from collections.abc import Iterator

_NAMED = ("rename from ", "rename to ", "copy from ", "copy to ")


def changed_paths(diff: str) -> tuple[str, ...]:
    """The paths after the change, each once, in the order of the diff. A renamed file appears under its new name."""
    return tuple(dict.fromkeys(new for _, new in _files(diff)))


def touched_paths(diff: str) -> tuple[str, ...]:
    """The paths before and after the change, each once."""
    return tuple(dict.fromkeys(path for pair in _files(diff) for path in pair))


def _files(diff: str) -> Iterator[tuple[str, str]]:
    """(path before, path after) of each file."""
    header: list[str] = []
    for line in (*diff.split("\n"), "diff --git "):
        if line.startswith("diff --git "):
            if header:
                yield _paths(header)
            header = [line]
        elif header and line.startswith("@@"):
            yield _paths(header)
            header = []
        elif header:
            header.append(line)


def _paths(header: list[str]) -> tuple[str, str]:
    """The paths of one file. The first line holds both, but only if they are equal can it be taken apart."""
    named = {name: _unquoted(line.removeprefix(name)) for line in header for name in _NAMED if line.startswith(name)}
    for kind in ("rename", "copy"):
        if f"{kind} from " in named and f"{kind} to " in named:
            return named[f"{kind} from "], named[f"{kind} to "]
    half = header[0].removeprefix("diff --git ")
    middle = (len(half) + 1) // 2
    old, new = _unquoted(half[: middle - 1]), _unquoted(half[middle:])
    return old.removeprefix("a/"), new.removeprefix("b/")


def _unquoted(path: str) -> str:
    if not path.startswith('"'):
        return path
    raw = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), path[1:-1].encode())
    return raw.replace(b'\\"', b'"').replace(b"\\\\", b"\\").decode(errors="surrogateescape")
