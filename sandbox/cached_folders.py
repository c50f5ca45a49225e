"""Folders that all sessions mount read-only: created once and stored in Penstock's cache.

The name of a folder is a hash of what it was made from, so its content never changes. Any of them may be deleted while
no sandbox runs.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cached_folder(kind: str, made_from: object, fill: Callable[[Path], None]) -> Path:
    """The folder for `made_from` (compared by its `repr`), which `fill` fills if it does not exist yet.
    Raises `OSError` when the cache cannot be written."""
    from core.settings import load_settings

    name = f"{kind}-{hashlib.sha256(repr(made_from).encode()).hexdigest()[:32]}"
    folder = load_settings().cache / "sandbox" / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        making.chmod(0o755)
        fill(making)
        try:
            making.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def make_folder(folder: Path) -> None:
    """Creates a folder and its parents; what it creates is readable by every user, whatever the umask."""
    for part in reversed((folder, *folder.parents)):
        if not part.is_dir():
            part.mkdir()
            part.chmod(0o755)


def write_file(path: Path, content: str, mode: int = 0o644) -> None:
    make_folder(path.parent)
    path.write_text(content)
    path.chmod(mode)
