"""Unpacks tar and zip archives that nobody vouches for. Nothing is written outside of the folder, through a link, or
beyond the bounds; no link leads out, and nothing but files, folders and links is made.

Python's own extraction filters came with 3.11.4, so each entry is written here. Owners, times and all of a mode but
"executable" are left out.
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
    RuntimeError,  # an encrypted zip, a method that zipfile does not know, a chain of links
)
"""What reading an archive raises that is none, or is damaged."""


class ArchiveRefused(Exception):
    """The archive is damaged, too large, or holds what it must not; the message names it."""


def unpack_archive(archive: Path, folder: Path, *, max_files: int, max_bytes: int) -> None:
    """Unpacks into `folder`, which must not exist: at most `max_files` entries and `max_bytes` bytes of content.
    A name that ends in `.zip` is a zip archive, any other a tar archive, plain or compressed.

    Raises `ArchiveRefused`, and leaves no folder then."""
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
            # One by one, since asking for all at once would first decompress the whole of a bomb.
            for member in opened:
                self._count(1, member.size)
                if member.isdir():
                    self._place(member.name).mkdir(parents=True, exist_ok=True)
                elif member.issym():
                    self.links[self._place(member.name)] = member.linkname
                elif member.isreg() or member.islnk():
                    source = opened.extractfile(member)  # of a hard link, the content of the file that it names
                    if source is None:
                        raise ArchiveRefused(f"{self.name}: {member.name[:100]!r} is a link to no file")
                    if member.islnk():
                        self._count(0, source.seek(0, os.SEEK_END))
                        source.seek(0)
                    with source:
                        self._write(member.name, source, bool(member.mode & 0o111))
                else:
                    raise ArchiveRefused(f"{self.name}: {member.name[:100]!r} is no file, folder or link")

    def make_links(self) -> None:
        """After all files, so that none is written through a link; then each must lead to a place inside."""
        for path, goal in self.links.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent.resolve() != path.parent:
                raise ArchiveRefused(f"{self.name}: {str(path.relative_to(self.root))[:100]!r} lies behind a link")
            path.symlink_to(goal)
        for path, goal in self.links.items():
            if goal.startswith("/") or not path.resolve().is_relative_to(self.root):
                raise ArchiveRefused(f"{self.name}: a link to {goal[:100]!r} leads out of it")

    def _count(self, files: int, size: int) -> None:
        self.files += files
        self.size += size
        if self.files > self.max_files or self.size > self.max_bytes or size < 0:
            raise ArchiveRefused(f"{self.name} would unpack to {self.files} files of {self.size} bytes or more")

    def _place(self, name: str) -> Path:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ArchiveRefused(f"{self.name}: {name[:100]!r} leads out of it")
        return self.root / path

    def _write(self, name: str, source: IO[bytes], executable: bool) -> None:
        """At most the bytes that were counted. Replaces an entry of the same name, as later ones do in a tar."""
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
    """A stream that is read in parts of a bounded length: tarfile reads an extended header as a whole, and believes
    what the archive says of its length."""

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
