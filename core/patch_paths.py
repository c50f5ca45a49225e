"""Which paths a unified diff changes, by git's headers."""

import re


def changed_paths(diff: str) -> tuple[str, ...]:
    """The paths after the change, in the order of the diff. A renamed file appears under its new name."""
    paths = []
    for line in diff.split("\n"):
        if line.startswith("diff --git "):
            half = line[len("diff --git ") :]
            new = half[(len(half) + 1) // 2 :]
            paths.append(_unquoted(new).removeprefix("b/"))
    return tuple(paths)


def _unquoted(path: str) -> str:
    if not path.startswith('"'):
        return path
    raw = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), path[1:-1].encode())
    return raw.replace(b'\\"', b'"').replace(b"\\\\", b"\\").decode(errors="surrogateescape")
