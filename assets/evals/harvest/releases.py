"""Fetches source releases of packages by name and version through pip, and caches them.

For eval sets that refer to public code without containing it. Nothing of a release is imported, built or run: pip only
downloads the archive (`released_download`), which is compared with its known hash and unpacked within bounds.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.archives import ArchiveRefused, unpack_archive

CACHE = Path("~/.cache/penstock/releases")
MAX_ARCHIVE = 64 << 20
MAX_FILES = 50_000
MAX_BYTES = 500 << 20
SECONDS = 300
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
VERSION = re.compile(r"[0-9][A-Za-z0-9.!+-]{0,60}")

_PROGRAM = Path(__file__).with_name("released_download.py")


class ReleaseUnavailable(RuntimeError):
    """A release could not be fetched, or has another content than expected; the message names the release and why."""


def fetch_releases(wanted: Iterable[tuple[str, str]], cache: Path | None = None) -> dict[tuple[str, str], Path]:
    """The folder of the unpacked source release of each (package, version). Fetches two at a time.

    Raises `ReleaseUnavailable`; releases fetched until then stay in the cache.
    """
    found = list(dict.fromkeys(wanted))
    with ThreadPoolExecutor(2) as pool:
        folders = pool.map(lambda one: fetch_release(one[0], one[1], cache), found)
        return dict(zip(found, folders, strict=True))


def fetch_release(package: str, version: str, cache: Path | None = None) -> Path:
    """The folder of one unpacked source release, from the cache or the package registry. Raises
    `ReleaseUnavailable`."""
    _check_name(package, version)
    folder = (cache or CACHE.expanduser()) / f"{package}-{version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
        archive = _download(package, version, Path(scratch))
        top = unpack(archive, Path(scratch) / "unpacked")
        _move(top, folder, folder.is_dir)
    return folder


def fetch_archive(package: str, version: str, sha256: str | None = None, cache: Path | None = None) -> Path:
    """The source archive of a release, from the cache or the package registry.

    With `sha256` (hexadecimal), a damaged archive in the cache is fetched again, and a fetched one with another hash
    is refused. Raises `ReleaseUnavailable`.
    """
    _check_name(package, version)
    folder = (cache or CACHE.expanduser()) / "archives" / f"{package}-{version}"
    kept = [path for path in folder.glob("*") if path.is_file()]
    if len(kept) == 1 and (sha256 is None or archive_hash(kept[0]) == sha256):
        return kept[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
        archive = _download(package, version, Path(scratch))
        found = archive_hash(archive)
        if sha256 is not None and found != sha256:
            raise ReleaseUnavailable(
                f"{archive.name} has the SHA-256 {found}, not {sha256}: the registry or a mirror serves another "
                f"archive than the reviewed one"
            )
        if kept:
            shutil.rmtree(folder, ignore_errors=True)
        fresh = Path(scratch) / "kept"
        fresh.mkdir()
        archive.rename(fresh / archive.name)
        _move(fresh, folder, (folder / archive.name).is_file)
    return folder / archive.name


def release_versions(package: str) -> list[str]:
    """The versions with a source archive in the registry, oldest first, without pre-releases and yanked ones. Raises
    `ReleaseUnavailable`."""
    _check_name(package, "0")
    found = [line for line in _pip(package, ["versions", package]).split() if VERSION.fullmatch(line)]
    if not found:
        raise ReleaseUnavailable(f"{package}: the package registry has no source release")
    return found


def archive_hash(archive: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, folder: Path) -> Path:
    """Unpacks into a new folder and returns the project's folder in it. For paths outside the folder, devices, and more
    than `MAX_FILES` files or `MAX_BYTES` bytes, it raises `ReleaseUnavailable` and leaves nothing."""
    try:
        unpack_archive(archive, folder, max_files=MAX_FILES, max_bytes=MAX_BYTES)
    except ArchiveRefused as error:
        raise ReleaseUnavailable(str(error)) from error
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _move(made: Path, goal: Path, there: Callable[[], bool]) -> None:
    try:
        made.rename(goal)
    except OSError:
        if not there():  # if it exists, another process was faster
            raise


def _check_name(package: str, version: str) -> None:
    if not NAME.fullmatch(package) or not VERSION.fullmatch(version):
        raise ReleaseUnavailable(f"{package[:80]!r} {version[:80]!r} is not a valid package name and version")


def _download(package: str, version: str, scratch: Path) -> Path:
    _pip(f"{package} {version}", ["fetch", package, version, str(scratch), str(MAX_ARCHIVE)])
    files = [path for path in scratch.iterdir() if path.is_file()]
    if len(files) != 1:
        raise ReleaseUnavailable(f"{package} {version} could not be fetched: pip wrote {len(files)} files, not one")
    return files[0]


def _pip(what: str, arguments: list[str]) -> str:
    try:
        done = subprocess.run(
            [sys.executable, str(_PROGRAM), *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ReleaseUnavailable(f"{what}: pip did not finish within {SECONDS} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["pip printed no reason"]
        raise ReleaseUnavailable(f"{what} could not be fetched: {lines[-1][:300]}")
    return done.stdout
