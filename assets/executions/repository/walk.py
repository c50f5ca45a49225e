"""The files of a repository that is on disk, without links, and without folders that hold no sources."""

from collections.abc import Iterator
from pathlib import Path

SKIPPED = frozenset({".git", ".venv", "venv", "node_modules", ".tox", "build", "dist", "__pycache__", ".eggs"})


def files(root: Path, most: int, *, hidden: bool) -> Iterator[str]:
    """Relative paths of at most `most` files; those in hidden folders only if `hidden`. Folders that cannot be read are
    left out."""
    count, stack = 0, [root]
    while stack:
        folder = stack.pop()
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        for entry in entries:
            if entry.is_symlink():
                continue
            if entry.is_dir():
                if entry.name not in SKIPPED and (hidden or not entry.name.startswith(".")):
                    stack.append(entry)
                continue
            count += 1
            if count > most:
                return
            yield entry.relative_to(root).as_posix()
