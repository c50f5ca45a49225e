"""When Penstock runs as root: a user namespace in which sandboxed code runs as a host user that owns nothing.

A user namespace made by root usually maps its user to the host's root. Root may write to every file of /proc/sys that
it can reach, even without capabilities, and the kernel's process limit does not apply to it. Without root, this module
is neither needed nor usable.
"""

import os
import shutil
import time
from pathlib import Path

from .spawn import spawn

INSIDE = 1000
"""The user and group id of the command inside the sandbox."""
_HOST_USERS = (0x7A5D0000, 65_533)
"""Host ids for the command's user and group; the first that can be mapped on this system is used."""
_SECONDS = 5.0


def unprivileged_user() -> int | None:
    """The host's user id for sandboxed code; None when it runs as the current user."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or setpriv() is None:
        return None
    for user in _HOST_USERS:
        if _maps("/proc/self/uid_map", user) and _maps("/proc/self/gid_map", user):
            return user
    return None


def setpriv() -> str | None:
    """The program that switches to another user, by a path that is also visible inside the sandbox."""
    return shutil.which("setpriv", path="/usr/bin:/bin")


def drop_privileges_prefix() -> tuple[str, ...]:
    """A command prefix that switches to the user `INSIDE` and drops every capability.

    bwrap's `--uid` is not used: the kernel clears "die with parent" (PR_SET_PDEATHSIG) of a process that switches to
    another user, and bwrap's first process must keep it."""
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
    """A descriptor of a new user namespace, which the caller closes. It maps `INSIDE` to the host's `user`, and every
    other user too, so that files of any owner can be mounted during set-up.

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
                raise OSError("unshare --user created no user namespace")
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
