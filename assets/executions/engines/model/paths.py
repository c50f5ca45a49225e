"""Cleans up paths that a model writes, and lists the text files of a checkout; `workspace` reads and changes them."""

import os
from collections.abc import Iterator
from pathlib import Path

from assets.executions.repository.walk import SKIPPED

MAX_FILES = 5_000
MAX_TEXT_BYTES = 1 << 20
_BINARY = (".pyc", ".so", ".png", ".jpg", ".gif", ".ico", ".pdf", ".zip", ".gz", ".whl", ".woff", ".woff2", ".mo")


def plain(path: str) -> str:
    """The path relative to the repository's root, without the prefixes that models write."""
    return path.strip().removeprefix("/workspace/").removeprefix("./")


def linked(root: Path, path: str) -> bool:
    """Whether a patch cannot write to this path: a part of it is a symbolic link, or a file where a folder is needed,
    or it is a folder itself."""
    *folders, _ = parts = path.split("/")
    at = root
    for number, part in enumerate(parts):
        at = at / part
        if at.is_symlink() or (number < len(folders) and at.exists() and not at.is_dir()):
            return True
    return at.is_dir()


def text_files(root: Path) -> Iterator[str]:
    """Relative paths of at most `MAX_FILES` files that may be text, without hidden files and build folders."""
    found = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if name.startswith(".") or name.lower().endswith(_BINARY) or path.is_symlink() or not path.is_file():
                continue
            if path.stat().st_size > MAX_TEXT_BYTES:
                continue
            yield path.relative_to(root).as_posix()
            found += 1
            if found >= MAX_FILES:
                return
