"""Git's own matching of paths against ignore patterns and attributes, without a repository.

The patterns come from a commit and the paths need not exist: git is asked in an empty work tree that
holds nothing but the patterns. So they mean here exactly what they mean in `.gitignore` and `.gitattributes`.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from core.git import command

_SECONDS = 20.0
_HERE = b"./"  # so that a path that begins with `:` is no pathspec


def match_ignore(patterns: bytes, paths: Sequence[str], *, where: Path | str = "") -> Mapping[str, str]:
    """Path -> the last pattern of a `.gitignore` in the root that matches it; one that begins with `!` includes it.

    Paths that nothing matches are left out. Raises `GitError`, also when matching takes too long.
    """
    wanted = [os.fsencode(path) for path in paths if _possible(path)]
    if not wanted or not patterns.strip():
        return {}
    with _work_tree(".gitignore", patterns) as run:
        output = run("check-ignore", "--no-index", "--verbose", "-z", "--stdin", where=where, paths=wanted)
    fields = output.split(b"\0")[:-1]
    # Four fields a path: file, line, pattern, path.
    return {
        os.fsdecode(path.removeprefix(_HERE)): pattern.decode(errors="replace")
        for pattern, path in zip(fields[2::4], fields[3::4], strict=True)
    }


def match_attributes(
    attributes: bytes, names: Sequence[str], paths: Sequence[str], *, where: Path | str = ""
) -> Mapping[str, Mapping[str, str]]:
    """Path -> attribute -> `set`, `unset` or its value, by a `.gitattributes` in the root. Raises like `match_ignore`.

    Attributes that nothing says anything of are left out.
    """
    wanted = [os.fsencode(path) for path in paths if _possible(path)]
    if not wanted or not attributes.strip():
        return {}
    with _work_tree(".gitattributes", attributes) as run:
        output = run("check-attr", "-z", "--stdin", *names, where=where, paths=wanted)
    found: dict[str, dict[str, str]] = {}
    fields = output.split(b"\0")[:-1]
    for path, name, value in zip(fields[0::3], fields[1::3], fields[2::3], strict=True):
        if value != b"unspecified":
            found.setdefault(os.fsdecode(path.removeprefix(_HERE)), {})[name.decode()] = value.decode(errors="replace")
    return found


def _possible(path: str) -> bool:
    """Whether git takes it as a path inside of a work tree; a forged commit may hold others."""
    return bool(path) and not any(part in ("", ".", "..") for part in path.split("/")) and "\0" not in path


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
def _work_tree(name: str, content: bytes) -> Iterator[_Run]:
    with tempfile.TemporaryDirectory(prefix="penstock-matching-") as folder:
        git_dir, work_tree = Path(folder, "git"), Path(folder, "tree")
        for made in (git_dir / "objects", git_dir / "refs", work_tree):
            made.mkdir(parents=True)
        (git_dir / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
        (work_tree / name).write_bytes(content)
        yield _Run(git_dir, work_tree)
