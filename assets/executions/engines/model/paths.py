"""Paths as a model writes them, and the files of a checkout that it may want to see.

Not for reading or changing files, which `workspace` does.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from assets.executions.repository.test_command import SKIPPED

MAX_FILES = 5_000
MAX_TEXT_BYTES = 1 << 20
_NO_TEXT = (".pyc", ".so", ".png", ".jpg", ".gif", ".ico", ".pdf", ".zip", ".gz", ".whl", ".woff", ".woff2", ".mo")


def plain(path: str) -> str:
    """Relative to the repository's root, where a model names it otherwise."""
    return path.strip().removeprefix("/workspace/").removeprefix("./")


def linked(root: Path, path: str) -> bool:
    """Whether a part of the path is a symbolic link, or a file where a folder is needed: a patch cannot go there."""
    *folders, _ = parts = path.split("/")
    at = root
    for number, part in enumerate(parts):
        at = at / part
        if at.is_symlink() or (number < len(folders) and at.exists() and not at.is_dir()):
            return True
    return at.is_dir()


def text_files(root: Path) -> Iterator[str]:
    """Relative paths of files that may be text, a bounded number; hidden and build folders are left out."""
    found = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if name.startswith(".") or name.lower().endswith(_NO_TEXT) or path.is_symlink() or not path.is_file():
                continue
            if path.stat().st_size > MAX_TEXT_BYTES:
                continue
            yield path.relative_to(root).as_posix()
            found += 1
            if found >= MAX_FILES:
                return
