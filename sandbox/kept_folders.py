"""Folders that every session shows read-only and that are the same for all of them: made once, kept in the cache.

A folder's name says all that it was made from, so it never changes; what is no longer asked for may be
deleted at any time when no sandbox runs.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def kept_folder(kind: str, made_from: object, fill: Callable[[Path], None]) -> Path:
    """The folder for `made_from` (told apart by its `repr`), which `fill` fills when it is not there yet.
    Raises `OSError` when the cache cannot be written."""
    from core.settings import load_settings

    name = f"{kind}-{hashlib.sha256(repr(made_from).encode()).hexdigest()[:32]}"
    kept = load_settings().cache / "sandbox" / name
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=kept.parent))
    try:
        making.chmod(0o755)
        fill(making)
        try:
            making.rename(kept)
        except OSError:
            if not kept.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return kept


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, all of them readable by everyone whatever the process's mask."""
    for part in reversed((folder, *folder.parents)):
        if not part.is_dir():
            part.mkdir()
            part.chmod(0o755)


def write_file(path: Path, content: str, mode: int = 0o644) -> None:
    make_folder(path.parent)
    path.write_text(content)
    path.chmod(mode)
