"""Unpacks untrusted tar and zip archives. Nothing is written outside of the folder, through a link, or beyond the
limits; no link leads out of the folder, and only files, folders and links are created.

Python's own extraction filters came with 3.11.4, so each entry is written here. Owners, times and all permissions but
"executable" are dropped.
"""

import bz2
import contextlib
import gzip
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

_PART = 1 << 16
_LONGEST_READ = 1 << 20
_COMPRESSIONS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open))
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    RuntimeError,  # an encrypted zip, an unsupported compression method, a chain of links
)
"""What reading a file raises that is damaged or not an archive."""


class ArchiveRefused(Exception):
    """The archive is damaged, too large, or holds a forbidden entry; the message names it."""


def unpack_archive(archive: Path, folder: Path, *, max_files: int, max_bytes: int) -> None:
    """Unpacks into `folder`, which must not exist: at most `max_files` entries and `max_bytes` bytes of content.
    An archive whose name ends in `.zip` is read as zip, any other as tar, plain or compressed.

    Raises `ArchiveRefused`, after removing the folder."""
    folder.mkdir(parents=True)
    try:
        unpacking = _Unpacking(archive.name, folder.resolve(), max_files, max_bytes)
        if archive.name.endswith(".zip"):
            unpacking.zip(archive)
        else:
            unpacking.tar(archive)
        unpacking.make_links()
    except ArchiveRefused:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except _DAMAGED as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ArchiveRefused(f"{archive.name}: {error}") from error


@dataclass
class _Unpacking:
    name: str
    root: Path
    max_files: int
    max_bytes: int
    files: int = 0
    size: int = 0
    links: dict[Path, str] = field(default_factory=dict)

    def zip(self, archive: Path) -> None:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                self._count(1, entry.file_size)
                if entry.is_dir():
                    self._place(entry.filename).mkdir(parents=True, exist_ok=True)
                else:
                    with opened.open(entry) as source:
                        self._write(entry.filename, source, bool(entry.external_attr >> 16 & 0o111))

    def tar(self, archive: Path) -> None:
        with _decompressed(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as opened:
            # One by one: a list of all members would need the whole of a bomb to be decompressed first.
            for member in opened:
                self._count(1, member.size)
                if member.isdir():
                    self._place(member.name).mkdir(parents=True, exist_ok=True)
                elif member.issym():
                    self.links[self._place(member.name)] = member.linkname
                elif member.isreg() or member.islnk():
                    source = opened.extractfile(member)  # for a hard link: of the file that it names
                    if source is None:
                        raise ArchiveRefused(f"{self.name}: {member.name[:100]!r} is a hard link to a missing file")
                    if member.islnk():
                        self._count(0, source.seek(0, os.SEEK_END))
                        source.seek(0)
                    with source:
                        self._write(member.name, source, bool(member.mode & 0o111))
                else:
                    raise ArchiveRefused(f"{self.name}: {member.name[:100]!r} is not a file, folder or link")

    def make_links(self) -> None:
        """Runs after all files, so that none is written through a link. Each link must then lead to a path inside."""
        for path, target in self.links.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent.resolve() != path.parent:
                raise ArchiveRefused(f"{self.name}: {str(path.relative_to(self.root))[:100]!r} is below a link")
            path.symlink_to(target)
        for path, target in self.links.items():
            if target.startswith("/") or not path.resolve().is_relative_to(self.root):
                raise ArchiveRefused(f"{self.name}: a link to {target[:100]!r} leads out of the archive")

    def _count(self, files: int, size: int) -> None:
        self.files += files
        self.size += size
        if self.files > self.max_files or self.size > self.max_bytes or size < 0:
            raise ArchiveRefused(
                f"{self.name} unpacks to at least {self.files:,} files and {self.size:,} bytes; "
                f"the limits are {self.max_files:,} and {self.max_bytes:,}"
            )

    def _place(self, name: str) -> Path:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ArchiveRefused(f"{self.name}: {name[:100]!r} leads out of the archive")
        return self.root / path

    def _write(self, name: str, source: IO[bytes], executable: bool) -> None:
        """Writes no more bytes than were counted. Replaces an earlier entry of the same name, as tar does."""
        path = self._place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(source, file, _PART)
        path.chmod(0o755 if executable else 0o644)


@contextlib.contextmanager
def _decompressed(archive: Path) -> Iterator[Any]:
    with archive.open("rb") as file:
        start = file.read(6)
    opener: Any = next((one for magic, one in _COMPRESSIONS if start.startswith(magic)), open)
    with opener(archive, "rb") as stream:
        yield _ShortReads(stream)


class _ShortReads:
    """A stream that refuses long reads: tarfile reads an extended header as a whole, and trusts the length that the
    archive states."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell
        self.seekable = stream.seekable

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise ArchiveRefused(f"{os.path.basename(self._stream.name)}: a header of {size:,} bytes")  # noqa: PTH119
        data: bytes = self._stream.read(size)
        return data
