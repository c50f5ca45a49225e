"""Writes a commit's tree to a folder from the stored blobs alone: no checkout, so no filter ever runs.

Called through `Repository.export`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from core.git.command import GitError
from core.git.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Export:
    """What was written. `files` counts regular files. `links_outside` are symlinks that lead outside, written as
    files that hold their target. `submodules` are empty folders."""

    commit: str
    files: int
    links_outside: tuple[str, ...]
    submodules: tuple[str, ...]


def write(repository: ObjectStore, commit: str, directory: Path) -> Export:
    """See `Repository.export`. `directory` must not exist or be empty."""
    directory.mkdir(parents=True, exist_ok=True)
    top = os.path.realpath(directory)
    if os.listdir(top):  # noqa: PTH208
        raise GitError(f"{directory} is not empty: an export needs a new folder")
    entries = repository.ls_tree(commit)
    seen: set[str] = set()
    folders: set[str] = {""}
    for entry in entries:
        _check_path(repository, entry.path)
        if entry.path in seen:
            raise GitError(f"commit {commit[:12]} in {repository.path} has two entries {entry.path!r}")
        seen.add(entry.path)
        parent = os.path.dirname(entry.path)  # noqa: PTH120 (plain strings, since this loop takes most of the time)
        while parent not in folders:
            folders.add(parent)
            parent = os.path.dirname(parent)  # noqa: PTH120
    submodules = tuple(entry.path for entry in entries if entry.mode == "160000")
    if clash := seen & (folders | {""}):
        raise GitError(f"commit {commit[:12]} in {repository.path}: {clash.pop()!r} is both a file and a folder")
    for folder in sorted(folders | set(submodules)):
        os.makedirs(f"{top}/{folder}", exist_ok=True)  # noqa: PTH103
    links: dict[str, bytes] = {}
    files = 0
    stored = [entry for entry in entries if entry.mode != "160000"]
    for entry, (_, content) in zip(stored, repository.read_blobs(entry.blob for entry in stored), strict=True):
        if entry.mode == "120000":
            links[entry.path] = content
            continue
        permissions = 0o755 if entry.mode == "100755" else 0o644
        _create(f"{top}/{entry.path}", content, permissions)
        files += 1
    return Export(commit, files, _write_links(top, links), submodules)


def _create(path: str, content: bytes, permissions: int) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, permissions)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(number, view) :]
    finally:
        os.close(number)


def _check_path(repository: ObjectStore, path: str) -> None:
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise GitError(f"{repository.path} holds the path {path!r}, which may not be written: refusing this commit")


def _write_links(top: str, links: dict[str, bytes]) -> tuple[str, ...]:
    # Written after every folder and file, so that nothing is ever written through a link. Where a link
    # leads is known only once all exist, since it may pass through others.
    outside = []
    for path, target in links.items():
        if not target or b"\0" in target or len(target) > 4000 or target.startswith(b"/"):
            _create(f"{top}/{path}", target, 0o644)
            outside.append(path)
        else:
            os.symlink(target, f"{top}/{path}")  # noqa: PTH211
    while True:
        wrong = [
            path
            for path in links
            if path not in outside and not f"{os.path.realpath(f'{top}/{path}')}/".startswith(f"{top}/")
        ]
        if not wrong:
            return tuple(sorted(outside))
        for path in wrong:
            os.unlink(f"{top}/{path}")  # noqa: PTH108
            _create(f"{top}/{path}", links[path], 0o644)
            outside.append(path)
