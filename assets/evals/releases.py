"""Source releases of packages, fetched by name and version and kept unpacked in a cache.

For eval sets that refer to public code without holding it. Nothing of a release is imported or run here; pip
reads its metadata, for which it may run the release's own build script, so only releases that a reviewed set names
belong here.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CACHE = Path("~/.cache/penstock/releases")
MAX_FILES = 50_000
MAX_BYTES = 500 << 20
SECONDS = 300
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.!+-]{0,60}")


class ReleaseUnavailable(RuntimeError):
    """A release could not be fetched or is not what it should be; the message says which and why."""


def fetch_releases(wanted: Iterable[tuple[str, str]], cache: Path | None = None) -> dict[tuple[str, str], Path]:
    """(package, version) -> the folder of its unpacked source release. Two are fetched at a time.

    Raises `ReleaseUnavailable`; what was fetched by then stays in the cache.
    """
    found = list(dict.fromkeys(wanted))
    with ThreadPoolExecutor(2) as pool:
        folders = pool.map(lambda one: fetch_release(one[0], one[1], cache), found)
        return dict(zip(found, folders, strict=True))


def fetch_release(package: str, version: str, cache: Path | None = None) -> Path:
    """The folder of one unpacked source release, from the cache or from the package registry."""
    if not _NAME.fullmatch(package) or not _VERSION.fullmatch(version):
        raise ReleaseUnavailable(f"{package[:80]!r} {version[:80]!r} is not a package's name and version")
    folder = (cache or CACHE.expanduser()) / f"{package}-{version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
        archive = _download(package, version, Path(scratch))
        unpacked = Path(scratch) / "unpacked"
        unpacked.mkdir()
        _unpack(archive, unpacked)
        inside = list(unpacked.iterdir())
        top = inside[0] if len(inside) == 1 and inside[0].is_dir() else unpacked
        try:
            top.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
    return folder


def _download(package: str, version: str, scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        done = subprocess.run(
            [*command, "--no-binary", ":all:", "--dest", str(scratch), f"{package}=={version}"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ReleaseUnavailable(f"{package} {version}: pip did not finish in {SECONDS} s") from error
    files = [path for path in scratch.iterdir() if path.is_file()]
    if done.returncode or len(files) != 1:
        lines = done.stderr.strip().splitlines() or ["pip left no file"]
        raise ReleaseUnavailable(f"{package} {version} could not be fetched: {lines[-1][:300]}")
    return files[0]


def _unpack(archive: Path, folder: Path) -> None:
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            _check(archive, [info.file_size for info in opened.infolist()])
            opened.extractall(folder)  # noqa: S202  zipfile drops absolute and parent parts
        return
    try:
        with tarfile.open(archive) as opened:
            members = opened.getmembers()
            _check(archive, [member.size for member in members])
            opened.extractall(folder, members, filter="data")
    except tarfile.TarError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ReleaseUnavailable(f"{archive.name}: {error}") from error


def _check(archive: Path, sizes: list[int]) -> None:
    if len(sizes) > MAX_FILES or sum(sizes) > MAX_BYTES:
        raise ReleaseUnavailable(f"{archive.name} would unpack to {len(sizes)} files of {sum(sizes)} bytes")
