"""Private host folders of sessions: readable by their owner only, and removed whatever hostile code left in them.

Folders that a killed process left behind are removed by a later process of the same user.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

_PREFIX = "penstock-sandbox-"
_swept: set[tuple[int, Path]] = set()
_sweep_lock = threading.Lock()


class Scratch:
    """A session's folder. It stays locked until `remove` or the end of this process; unlocked ones may be swept."""

    def __init__(self, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        _sweep(parent)
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        if self._lock >= 0:
            remove_tree(self.folder)
            os.close(self._lock)
            self._lock = -1


def remove_tree(folder: Path) -> None:
    """Removes a folder filled by hostile code, including unreadable and very deep folders.
    Raises `OSError` when it cannot be removed."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        if not folder.exists():
            return
    except (OSError, RecursionError):
        pass
    else:
        return
    for command in (["chmod", "-R", "u+rwx", "--", str(folder)], ["rm", "-rf", "--", str(folder)]):
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if folder.exists():
        raise OSError(f"{folder} could not be removed: {done.stderr[-300:].decode(errors='replace').strip()}")


def _sweep(parent: Path) -> None:
    """Removes what killed processes of this user left behind, once per process and folder."""
    with _sweep_lock:
        if (os.getpid(), parent) in _swept:
            return
        _swept.add((os.getpid(), parent))
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(opened).st_uid != os.getuid():
                continue
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(folder)
        except OSError:
            continue
        finally:
            os.close(opened)
