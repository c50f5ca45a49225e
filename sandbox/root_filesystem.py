"""What is visible inside besides the workspace: the system's programs, a minimal /etc, and the requested mounts.

From the host's /etc come only the linker's cache, Debian's alternatives (links into /usr), and the settings and public
certificates that Debian's JDKs keep there; nothing comes from /home, /root, /var, /run or /tmp.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .cached_folders import cached_folder, make_folder, write_file
from .protocol import WORKSPACE, Mount

SHELL = ("/bin/sh", "-c", 'exec "$@"', "sh")
"""Starts every command, so that a program that is not found has exit code 127 in every backend."""

STANDBY = "/opt/penstock/standby"
"""The path, inside, of a mount for sandboxes that are booted before their command is known."""

_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_RESERVED = ("/proc", "/dev", "/sys", "/tmp", "/etc", STANDBY)  # noqa: S108 - paths inside the sandbox
_LINKER_CACHE = Path("/etc/ld.so.cache")
_ALTERNATIVES = Path("/etc/alternatives")
_OF_JAVA = ("java-*-openjdk", "ssl/certs/java/cacerts")
"""In /etc: without its settings a JVM does not start, and without certificates TLS cannot be used inside."""
_MOST_OF_JAVA = 1 << 20
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
    """`binds` are host folders, mounted read-only at the same path; `links` are top-level links (path, target)."""

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


def etc_folder() -> Path:
    """The host folder that is mounted as /etc."""
    return cached_folder("etc", _host_etc(), _fill_etc)


def _host_etc() -> tuple[object, ...]:
    """What the sandbox's /etc is made from: modification times of the host's files, and this module's texts."""
    stamps = tuple(path.stat().st_mtime_ns if path.exists() else None for path in (_LINKER_CACHE, _ALTERNATIVES))
    java = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in _files_of_java())
    return stamps, tuple(_FILES.items()), java


def _files_of_java() -> Iterator[Path]:
    """Regular files that every user may read."""
    found = [place for pattern in _OF_JAVA for place in Path("/etc").glob(pattern)]
    for path in sorted(inner for place in found for inner in (place.rglob("*") if place.is_dir() else (place,))):
        about = path.lstat()
        if stat.S_ISREG(about.st_mode) and about.st_mode & stat.S_IROTH and about.st_size <= _MOST_OF_JAVA:
            yield path


def _fill_etc(folder: Path) -> None:
    for name, text in _FILES.items():
        write_file(folder / name, text)
    if _LINKER_CACHE.is_file():
        shutil.copyfile(_LINKER_CACHE, folder / _LINKER_CACHE.name)
        (folder / _LINKER_CACHE.name).chmod(0o644)
    if _ALTERNATIVES.is_dir():
        make_folder(folder / _ALTERNATIVES.name)
        for link in _ALTERNATIVES.iterdir():
            if link.is_symlink() and str(target := link.readlink()).startswith("/usr/"):
                (folder / _ALTERNATIVES.name / link.name).symlink_to(target)
    for path in _files_of_java():
        copy = folder / path.relative_to("/etc")
        make_folder(copy.parent)
        shutil.copyfile(path, copy)
        copy.chmod(0o644)


def root_folder(mounts: tuple[Mount, ...]) -> Path:
    """A host folder to use as the root: it holds only /etc, links, and an empty mount point for each mount."""
    system = system_mounts()
    places = tuple((mount.target, mount.source.is_dir()) for mount in mounts)

    def fill(root: Path) -> None:
        _fill_etc(root / "etc")
        for path in ("/proc", "/dev", "/sys", "/tmp", STANDBY, WORKSPACE, *system.binds):  # noqa: S108
            make_folder(root / path.lstrip("/"))
        for name, target in system.links:
            (root / name.lstrip("/")).symlink_to(target)
        for target, is_folder in places:
            if any(target.startswith(f"{path}/") for path in system.binds):
                continue
            if is_folder:
                make_folder(root / target.lstrip("/"))
            else:
                write_file(root / target.lstrip("/"), "")

    return cached_folder("root", (_host_etc(), system, places, STANDBY), fill)


def checked_mounts(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """The mounts sorted so that a target comes before those inside it. Raises `ValueError` for an unsafe one."""
    for mount in mounts:
        target = PurePosixPath(mount.target)
        if not target.is_absolute() or ".." in target.parts or str(target) != mount.target or len(target.parts) < 2:
            raise ValueError(f"mount target {mount.target!r} is not a plain absolute path")
        if any(target.is_relative_to(reserved) for reserved in (*_RESERVED, WORKSPACE)):
            raise ValueError(f"mount target {mount.target!r} would hide the sandbox's own files")
        if not os.path.lexists(mount.source):
            raise ValueError(f"mount source {mount.source} does not exist")
    return tuple(sorted(mounts, key=lambda mount: len(PurePosixPath(mount.target).parts)))
