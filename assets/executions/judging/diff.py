"""Makes unified diffs that `git apply` reproduces byte for byte, and applies them to a directory.

Only `\\n` separates lines, so a `\\r` stays part of its line. A file without a final newline stays without.
"""

import difflib
import re
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from core.git import command
from core.patch_paths import changed_paths
from core.source_encoding import encode_diff

_NO_BLOB, _EMPTY_BLOB = "0000000", "e69de29"
"""Abbreviated ids of no blob and of the empty blob, which git requires when an empty file is added or deleted."""
_NO_NEWLINE = "\\ No newline at end of file\n"
_PLAIN = re.compile(r"[A-Za-z0-9_./+@%,=:~\- ]+")


def unified_diff(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> str:
    """The diff between two versions of the same files, in path order; empty when nothing changed.

    None means that the file does not exist: it is new if None in `before`, deleted if None in `after`. New files are
    not executable.
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
    """How many lines a diff adds and removes."""
    return sum(1 for line in diff.split("\n") if line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- ")))


def new_paths(diff: str) -> tuple[str, ...]:
    """The paths of files that a diff of `unified_diff` adds."""
    headers = re.split(r"^diff --git ", diff, flags=re.MULTILINE)[1:]
    made = [header for header in headers if header.partition("\n")[2].startswith("new file mode ")]
    return changed_paths("".join(f"diff --git {header}" for header in made))


def new_file(diff: str, path: str) -> str | None:
    """The text of a file that a diff of `unified_diff` adds at this path; None when it adds none there, or more than
    one piece of the diff is about it."""
    pieces = [f"diff --git {part}" for part in re.split(r"^diff --git ", diff, flags=re.MULTILINE)[1:]]
    about = [piece for piece in pieces if path in changed_paths(piece)]
    if len(about) != 1 or new_paths(about[0]) != (path,):
        return None
    _, hunk, body = about[0].partition("\n@@ ")
    lines = body.split("\n")[1:]
    text = "\n".join(line[1:] for line in lines if line[:1] == "+")
    ends = _NO_NEWLINE.strip() not in lines
    return text + ("\n" if ends and hunk else "")


def without(diff: str, paths: Collection[str]) -> str:
    """A diff without the pieces about these paths."""
    head, *parts = re.split(r"^(?=diff --git )", diff, flags=re.MULTILINE)
    return head + "".join(part for part in parts if not set(changed_paths(part)) & set(paths))


def apply_diff(root: Path, diff: str, timeout: float = 30.0) -> str | None:
    """Applies a diff to a directory with `git apply`. Returns None on success, else git's error message.

    Raises `subprocess.TimeoutExpired` after `timeout` seconds.
    """
    # Without the ceiling, a repository around the folder would make git skip every path.
    environment = command.environment(extra={"GIT_CEILING_DIRECTORIES": str(root.resolve().parent)})
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        input=encode_diff(diff, lambda path: _content(root, path)),
        cwd=root,
        env=environment,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip()[:1000]


def _content(root: Path, path: str) -> bytes | None:
    file = root / path
    inside = file.resolve().is_relative_to(root.resolve())
    return file.read_bytes() if inside and file.is_file() else None


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    last = lines.pop()
    return [line + "\n" for line in lines] + ([last] if last else [])


def _quoted(path: str) -> str:
    """A path as git writes it: quoted in C style when it has unusual characters."""
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
