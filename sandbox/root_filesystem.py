"""What is seen inside beside the workspace: the system's programs, a minimal /etc, and the mounts asked for.

Of the host's /etc only the linker's cache and Debian's alternatives (links into /usr) are taken; of
/home, /root, /var, /run and /tmp nothing.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .protocol import WORKSPACE, Mount

SHELL = ("/bin/sh", "-c", 'exec "$@"', "sh")
"""Starts every command: a program that is not there ends with 127, the same in every backend."""

_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_RESERVED = ("/proc", "/dev", "/sys", "/tmp", "/etc")  # noqa: S108 - paths inside the sandbox
_FILES = {
    "passwd": "root:x:0:0:root:/tmp:/bin/sh\nsandbox:x:1000:1000:sandbox:/tmp:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "group": "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "hostname": "sandbox\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


@dataclass(frozen=True)
class SystemMounts:
    """`binds` are host folders shown read-only at the same path; `links` are top-level links into them."""

    binds: tuple[str, ...]
    links: tuple[tuple[str, str], ...]


def system_mounts() -> SystemMounts:
    binds = ["/usr"]
    links = []
    for name in _TOP:
        path = Path("/") / name
        if path.is_symlink():
            links.append((str(path), str(path.readlink())))
        elif path.is_dir():
            binds.append(str(path))
    if Path("/nix/store").is_dir():
        binds.append("/nix/store")
    return SystemMounts(tuple(binds), tuple(links))


def write_etc(folder: Path) -> None:
    """Fills `folder` with the /etc that is seen inside."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for name, text in _FILES.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    cache = Path("/etc/ld.so.cache")
    if cache.is_file():
        shutil.copyfile(cache, folder / "ld.so.cache")
        (folder / "ld.so.cache").chmod(0o644)
    alternatives = Path("/etc/alternatives")
    if alternatives.is_dir():
        (folder / "alternatives").mkdir()
        (folder / "alternatives").chmod(0o755)
        for link in alternatives.iterdir():
            if link.is_symlink() and str(goal := link.readlink()).startswith("/usr/"):
                (folder / "alternatives" / link.name).symlink_to(goal)


def checked_mounts(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """The mounts with outer targets before inner ones. Raises `ValueError` for one that cannot be made safely."""
    for mount in mounts:
        target = PurePosixPath(mount.target)
        if not target.is_absolute() or ".." in target.parts or str(target) != mount.target or len(target.parts) < 2:
            raise ValueError(f"mount target {mount.target!r} is not a plain absolute path")
        if any(target.is_relative_to(reserved) for reserved in (*_RESERVED, WORKSPACE)):
            raise ValueError(f"mount target {mount.target!r} would hide what the sandbox keeps there")
        if not os.path.lexists(mount.source):
            raise ValueError(f"mount source {mount.source} does not exist")
    return tuple(sorted(mounts, key=lambda mount: len(PurePosixPath(mount.target).parts)))
