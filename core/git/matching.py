"""Git's own matching of paths against ignore patterns and attributes, without a repository.

The patterns come from a commit, and the paths need not exist: git runs in a temporary work tree that holds
nothing but the patterns. So they mean exactly what they mean in `.gitignore` and `.gitattributes`.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.git import command

_SECONDS = 20.0
_LONGEST_FOLDER = 1500
_HERE = b"./"  # so that a path that begins with `:` is not taken for a pathspec


@dataclass(frozen=True, slots=True)
class Ignored:
    """The last pattern that matches a path, and the folder of its file (empty for the root). A pattern that begins
    with `!` includes the path."""

    folder: str
    pattern: str


def match_ignore(
    patterns: Mapping[str, bytes], paths: Sequence[str], *, where: Path | str = ""
) -> Mapping[str, Ignored]:
    """The pattern that decides on each path, given the `.gitignore` of each folder. Paths that no pattern matches are
    left out. Raises `GitError`, also on a timeout.
    """
    wanted = [os.fsencode(path) for path in paths if _possible(path)]
    used = {folder: held for folder, held in patterns.items() if held.strip()}
    if not wanted or not used:
        return {}
    with _work_tree(".gitignore", used) as run:
        output = run("check-ignore", "--no-index", "--verbose", "-z", "--stdin", where=where, paths=wanted)
    fields = output.split(b"\0")[:-1]
    # Four fields a path: file, line, pattern, path.
    return {
        os.fsdecode(path.removeprefix(_HERE)): Ignored(_folder(os.fsdecode(file)), pattern.decode(errors="replace"))
        for file, pattern, path in zip(fields[0::4], fields[2::4], fields[3::4], strict=True)
    }


def match_attributes(
    attributes: Mapping[str, bytes], names: Sequence[str], paths: Sequence[str], *, where: Path | str = ""
) -> Mapping[str, Mapping[str, str]]:
    """Path -> attribute -> `set`, `unset` or its value, given the `.gitattributes` of each folder. Unspecified
    attributes are left out. Raises as `match_ignore` does.
    """
    wanted = [os.fsencode(path) for path in paths if _possible(path)]
    used = {folder: held for folder, held in attributes.items() if held.strip()}
    if not wanted or not used:
        return {}
    with _work_tree(".gitattributes", used) as run:
        output = run("check-attr", "-z", "--stdin", *names, where=where, paths=wanted)
    found: dict[str, dict[str, str]] = {}
    fields = output.split(b"\0")[:-1]
    for path, name, value in zip(fields[0::3], fields[1::3], fields[2::3], strict=True):
        if value != b"unspecified":
            found.setdefault(os.fsdecode(path.removeprefix(_HERE)), {})[name.decode()] = value.decode(errors="replace")
    return found


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


def _possible(path: str) -> bool:
    """Whether git accepts it as a path inside of a work tree; a forged commit may hold others."""
    return bool(path) and not any(part in ("", ".", "..") for part in path.split("/")) and "\0" not in path


def _writable(folder: str, name: str) -> bool:
    """Whether the folder can be created next to files called `name`; others hold no indexed path."""
    encoded = os.fsencode(folder)
    parts = encoded.split(b"/")
    reserved = {os.fsencode(name), b".git"}
    return (
        _possible(folder)
        and len(encoded) <= _LONGEST_FOLDER
        and all(len(part) <= 255 and part not in reserved for part in parts)
    )


class _Run:
    def __init__(self, git_dir: Path, work_tree: Path) -> None:
        self._git_dir = git_dir
        self._work_tree = work_tree

    def __call__(self, *arguments: str, where: Path | str, paths: Sequence[bytes]) -> bytes:
        _, output = command.run(
            [f"--work-tree={self._work_tree}", *arguments],
            purpose=f"matching paths ({arguments[0]})",
            where=where,
            git_dir=self._git_dir,
            data=b"".join(_HERE + path + b"\0" for path in paths),
            timeout=_SECONDS,
            accept=(0, 1),
        )
        return output


@contextlib.contextmanager
def _work_tree(name: str, contents: Mapping[str, bytes]) -> Iterator[_Run]:
    with tempfile.TemporaryDirectory(prefix="penstock-matching-") as folder:
        git_dir, work_tree = Path(folder, "git"), Path(folder, "tree")
        for made in (git_dir / "objects", git_dir / "refs", work_tree):
            made.mkdir(parents=True)
        (git_dir / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
        for inside, content in contents.items():
            if not inside or _writable(inside, name):
                place = work_tree / inside
                place.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(content)
        yield _Run(git_dir, work_tree)
