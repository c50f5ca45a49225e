"""Unified diffs that `git apply` takes byte for byte, and applying them to a clean directory.

Line ends are kept as they are (only `\\n` separates lines, so `\\r` travels with its line), and a file
without a final newline stays so.
"""

import difflib
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from core.git import command

_NO_BLOB, _EMPTY_BLOB = "0000000", "e69de29"
"""As git abbreviates no content and the empty one, which it wants to see where a file without lines comes or goes."""
_NO_NEWLINE = "\\ No newline at end of file\n"
_PLAIN = re.compile(r"[A-Za-z0-9_./+@%,=:~\- ]+")


def unified_diff(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> str:
    """The diff between two versions of the same files, in path order; empty when nothing changed.

    None stands for no file: a new one before, a deleted one after. New files are plain, without the executable bit.
    """
    pieces = []
    for path in sorted(after):
        was, now = before[path], after[path]
        if was == now:
            continue
        old, new = _quoted("a/" + path), _quoted("b/" + path)
        tab = "\t" if " " in path else ""
        pieces.append(f"diff --git {old} {new}\n")
        if was is None:
            pieces.append("new file mode 100644\n")
        elif now is None:
            pieces.append("deleted file mode 100644\n")
        lines = list(difflib.unified_diff(_lines(was or ""), _lines(now or ""), n=3))
        if not lines:
            pieces.append(f"index {_EMPTY_BLOB}..{_NO_BLOB}\n" if now is None else f"index {_NO_BLOB}..{_EMPTY_BLOB}\n")
            continue
        first = "/dev/null" if was is None else f"{old}{tab}"
        second = "/dev/null" if now is None else f"{new}{tab}"
        pieces.append(f"--- {first}\n+++ {second}\n")
        for line in lines[2:]:
            pieces.append(line if line.endswith("\n") else line + "\n" + _NO_NEWLINE)
    return "".join(pieces)


def changed_lines(diff: str) -> int:
    """How many lines a diff adds or removes."""
    return sum(1 for line in diff.split("\n") if line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- ")))


def changed_paths(diff: str) -> tuple[str, ...]:
    """The paths that a diff of ours touches."""
    paths = []
    for line in diff.split("\n"):
        if line.startswith("diff --git "):
            half = line[len("diff --git ") :]
            new = half[(len(half) + 1) // 2 :]
            paths.append(_unquoted(new).removeprefix("b/"))
    return tuple(paths)


def new_paths(diff: str) -> tuple[str, ...]:
    """The paths of files that a diff of ours makes."""
    headers = re.split(r"^diff --git ", diff, flags=re.MULTILINE)[1:]
    made = [header for header in headers if header.partition("\n")[2].startswith("new file mode ")]
    return changed_paths("".join(f"diff --git {header}" for header in made))


def apply_diff(root: Path, diff: str, timeout: float = 30.0) -> str | None:
    """Applies a diff to a directory with `git apply`; None when it went through, else what git said."""
    # Without the ceiling, a repository around the folder would make git skip every path.
    environment = command.environment(extra={"GIT_CEILING_DIRECTORIES": str(root.resolve().parent)})
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        input=diff.encode(),
        cwd=root,
        env=environment,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip()[:1000]


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    last = lines.pop()
    return [line + "\n" for line in lines] + ([last] if last else [])


def _quoted(path: str) -> str:
    """A path as git writes it: quoted C style when it holds anything unusual."""
    if _PLAIN.fullmatch(path):
        return path
    out = []
    for byte in path.encode(errors="surrogateescape"):
        character = chr(byte)
        if character in '"\\':
            out.append("\\" + character)
        elif 32 <= byte < 127:
            out.append(character)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def _unquoted(path: str) -> str:
    if not path.startswith('"'):
        return path
    raw = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), path[1:-1].encode())
    return raw.replace(b'\\"', b'"').replace(b"\\\\", b"\\").decode(errors="surrogateescape")
