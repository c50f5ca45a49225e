"""Walks folders, the shallow ones first, so that a limit of entries cuts off what is deep."""

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator

_MOST = 200_000


def shallow_first(roots: Iterable[str], skipped: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """Each folder that can be listed, with the names in it that are not folders. Links are not followed."""
    todo = deque(roots)
    seen = 0
    while todo and seen < _MOST:
        folder = todo.popleft()
        try:
            with os.scandir(folder) as listing:
                entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
        except OSError:
            continue
        seen += len(entries)
        yield folder, [name for name, is_folder in entries if not is_folder]
        inner = (f"{folder.rstrip('/')}/{name}" for name, is_folder in entries if is_folder)
        todo.extend(path for path in inner if path not in skipped)
