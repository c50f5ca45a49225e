"""When Penstock runs as root: a user namespace in which sandboxed code is nobody of the host.

A user namespace made by root usually maps its user to the host's root, who may write to every file of
/proc/sys that is in reach, whatever capabilities it lacks, and whom the kernel's process limit does not
bind. Here the sandbox's user is one that owns nothing on the host. Not needed, and not possible,
without root.
"""

import os
import shutil
import time
from pathlib import Path

from .spawn import spawn

INSIDE = 1000
"""The user and group that sandboxed code sees itself as."""
_CHOICES = (0x7A5D0000, 65_533)
"""Host users to become, the first that this system can map."""
_SECONDS = 5.0


def spare_user() -> int | None:
    """The host's number of the user that sandboxed code is to be; None when it stays the present one."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or setpriv() is None:
        return None
    for user in _CHOICES:
        if _maps("/proc/self/uid_map", user) and _maps("/proc/self/gid_map", user):
            return user
    return None


def setpriv() -> str | None:
    """The program that becomes another user, by a path that is seen inside too."""
    return shutil.which("setpriv", path="/usr/bin:/bin")


def becoming_sandboxed() -> tuple[str, ...]:
    """What to put before a command inside, to become `INSIDE` and give up every capability.

    bwrap could do it itself, with `--uid`; but it does so before its first process asks to die with its
    parent, and the kernel forgets that wish of a process that becomes another user."""
    user = f"--reuid={INSIDE}", f"--regid={INSIDE}", "--clear-groups"
    return (
        setpriv() or "setpriv",
        *user,
        "--inh-caps=-all",
        "--ambient-caps=-all",
        "--bounding-set=-all",
        "--no-new-privs",
        "--",
    )


def _maps(path: str, number: int) -> bool:
    for line in Path(path).read_text().splitlines():
        first, _, count = (int(field) for field in line.split())
        if first <= number < first + count:
            return True
    return False


def user_namespace(user: int) -> int:
    """A descriptor of a new user namespace, to be closed by the caller. Inside, `INSIDE` stands for `user`; every
    other user is there too, so that what belongs to any of them can be mounted while setting up.

    Raises `OSError`."""
    program = shutil.which("unshare") or "unshare"
    started = spawn([program, "--user", "--", "cat"])
    holder = started.process
    try:
        ours = Path("/proc/self/ns/user").readlink()
        theirs = Path(f"/proc/{holder.pid}/ns/user")
        deadline = time.monotonic() + _SECONDS
        while theirs.readlink() == ours:
            if holder.poll() is not None or time.monotonic() > deadline:
                raise OSError("unshare --user made no user namespace")
            time.sleep(0.0005)
        extents = (
            (0, 0, INSIDE),
            (INSIDE, user, 1),
            (INSIDE + 1, INSIDE + 1, user - INSIDE - 1),
            (user, INSIDE, 1),
        )
        mapping = "".join(f"{inside} {outside} {count}\n" for inside, outside, count in extents)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{holder.pid}/{name}").write_text(mapping)
        return os.open(theirs, os.O_RDONLY)
    finally:
        started.abandon()
