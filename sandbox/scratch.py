"""Private host folders of sessions: readable by their owner only, and removed whatever hostile code left in them.

Folders that a killed process left behind are removed by a later process of the same user.
"""

import ctypes
import fcntl
import logging
import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

_PREFIX = "penstock-sandbox-"
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8  # umount2(2)
_logger = logging.getLogger("sandbox")
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
        """What cannot be removed now is left to a later process, with a warning: the session's work is done."""
        if self._lock >= 0:
            try:
                remove_tree(self.folder)
            except OSError as error:
                _logger.warning("%s", error)
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
    _unmount_below(folder)
    for command in (["chmod", "-R", "u+rwx", "--", str(folder)], ["rm", "-rf", "--", str(folder)]):
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if folder.exists():
        raise OSError(f"{folder} could not be removed: {done.stderr[-300:].decode(errors='replace').strip()}")


def _unmount_below(folder: Path) -> None:
    """Detaches what a killed runsc has left mounted, such as the network namespace of its gofer."""
    try:
        lines = Path("/proc/self/mounts").read_bytes().splitlines()
    except OSError:
        return
    points = [re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), line.split(b" ")[1]) for line in lines]
    for point in reversed(points):
        if point.startswith(os.fsencode(folder.resolve()) + b"/"):
            ctypes.CDLL(None).umount2(point, _MNT_DETACH | _UMOUNT_NOFOLLOW)


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
