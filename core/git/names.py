"""Checks which folder is a repository, and which text is a valid revision, branch or object id."""

import os
import re
from pathlib import Path

from core.git.command import GitError


def is_repository(path: Path | str) -> bool:
    """Whether `path` itself (not a folder above it) is a work tree's top or a bare repository."""
    return find_git_dir(Path(path)) is not None


def find_git_dir(path: Path) -> Path | None:
    """The git folder of the work tree whose top is `path`, or `path` itself if it is a bare repository; else None."""
    dot_git = path / ".git"
    if dot_git.is_dir():
        return dot_git
    if dot_git.is_file():
        match = re.match(rb"gitdir: ([^\0\r\n]+)", dot_git.read_bytes()[:4096])
        linked = (path / os.fsdecode(match[1])).absolute() if match else None
        return linked if linked and (linked / "HEAD").is_file() else None
    return path if all((path / name).exists() for name in ("HEAD", "objects", "refs")) else None


def check_ref(name: str) -> str:
    """Returns `name` if it can be part of a revision or a branch name. Raises `GitError`."""
    bad = (
        not name
        or len(name) > 1024
        or name.startswith(("-", "/", "."))
        or name.endswith(("/", ".", ".lock"))
        or any(part in name for part in ("..", "@{", "^{", "//", "/."))
        or re.search(r"[\x00-\x20\x7f:?*\[\\]", name)
        or any(0xD800 <= ord(letter) <= 0xDFFF for letter in name)
    )
    if bad:
        raise GitError(f"{name[:80]!r} is not a branch, tag or commit id")
    return name


def check_object_id(text: str) -> str:
    """Returns `text` if it is a full object id. Raises `GitError`."""
    if not re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", text):
        raise GitError(f"{text[:80]!r} is not an object id")
    return text
