"""Private host folders of sessions: made readable by their owner only, removed whatever they hold, and swept
when the process that made them is gone without closing them.
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
    """One session's folder. The lock on it is held as long as this process lives or until `remove`."""

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
    """Removes a folder that hostile code has filled: unreadable folders and any depth included.
    Raises `OSError` when something stays."""
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
    """Once per process and folder: removes what killed processes of this user left behind."""
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
