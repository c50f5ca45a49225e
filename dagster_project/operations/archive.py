"""The file of a backup: a zip archive, whole or absent, with a manifest that names each entry with its SHA-256.

Reading trusts nothing: names, sizes and hashes are checked before anything is taken out. Not for what goes into it,
which is `backup`'s, nor for where it goes back to, which is `restore`'s.
"""

import contextlib
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
MANIFEST = "manifest.json"
PENSTOCK_DUMP, DAGSTER_DUMP = "penstock.dump", "dagster.dump"
FILES, SECRETS, SEALED, MIRRORS = "files/", "secrets/", "secrets.sealed", "mirrors/"
LARGEST_MANIFEST = 16 << 20
MOST_ENTRIES = 200_000
LARGEST_SECRETS = 64 << 20
_PIECE = 1 << 20
_NAME = re.compile(r"[\w.@+ =,-][\w.@+ =,/-]{0,800}")


class BackupFailed(RuntimeError):
    """No backup was written; the message says why and what to do."""


class BadArchive(RuntimeError):
    """The file is not a whole backup that this version can read; the message says why. Nothing was changed."""


@dataclass(frozen=True)
class Entry:
    """One file in the archive; `size` in bytes, `sha256` of its content."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup holds. `migrations` are (number, name, sha256) of the schema; `rows` has the number of rows of each
    table of Penstock's database at the moment of the dump, `positions` the event log's at the same moment; `kafka` the
    committed offsets by group, topic and partition. `secrets` is none, plain or sealed."""

    id: str
    version: str
    made_at: str
    server: int
    migrations: list[tuple[int, str, str]]
    event_log: str
    rows: dict[str, int]
    positions: dict[str, list[list[Any]]]
    kafka: dict[str, dict[str, dict[str, int]]]
    secrets: str
    left_out: list[str]
    entries: list[Entry] = field(default_factory=list)
    format: int = FORMAT

    @property
    def schema(self) -> int:
        return max((number for number, _, _ in self.migrations), default=0)


class Writer:
    """Adds entries to a new archive, piece by piece."""

    def __init__(self, packed: zipfile.ZipFile) -> None:
        self._packed = packed
        self.entries: list[Entry] = []

    def add(self, name: str, pieces: Iterable[bytes]) -> None:
        digest, size = hashlib.sha256(), 0
        # Dumps and bundles are compressed already.
        kind = zipfile.ZIP_DEFLATED if name.startswith(FILES) else zipfile.ZIP_STORED
        info = zipfile.ZipInfo(name)
        info.compress_type, info.external_attr = kind, 0o600 << 16
        with self._packed.open(info, "w", force_zip64=True) as file:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                file.write(piece)
        self.entries.append(Entry(name, size, digest.hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        text = json.dumps(asdict(manifest), indent=1)
        self._packed.writestr(zipfile.ZipInfo(MANIFEST), text)


@contextlib.contextmanager
def new_archive(path: Path) -> Iterator[Writer]:
    """Writes an archive beside `path`, synced to disk and then renamed to it: a killed or failed backup leaves what was
    there. Only its owner can read it, from its first byte on. Raises `BackupFailed`."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        for left in path.parent.glob(f".{path.name}.*.part"):  # of a backup that was killed
            if not Path(f"/proc/{left.name.split('.')[-2]}").exists() or left == part:
                left.unlink(missing_ok=True)
        number = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BackupFailed(f"{path.parent} cannot be written to: {error.strerror}") from error
    try:
        with os.fdopen(number, "w+b") as raw:
            with zipfile.ZipFile(raw, "w", allowZip64=True) as packed:
                yield Writer(packed)
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise BackupFailed(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


class Reader:
    """An archive whose entries have all been checked."""

    def __init__(self, packed: zipfile.ZipFile, manifest: Manifest) -> None:
        self._packed = packed
        self.manifest = manifest

    def names(self, prefix: str) -> list[str]:
        return [entry.name for entry in self.manifest.entries if entry.name.startswith(prefix)]

    def pieces(self, name: str) -> Iterator[bytes]:
        with self._packed.open(name) as file:
            while piece := file.read(_PIECE):
                yield piece


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Reader]:
    """Opens an archive and reads all of it once, to check its sizes and hashes. Raises `BadArchive`."""
    try:
        with zipfile.ZipFile(path) as packed:
            manifest = _manifest(packed, path)
            found = [info.filename for info in packed.infolist() if info.filename != MANIFEST]
            named = [entry.name for entry in manifest.entries]
            if sorted(found) != sorted(named) or len(set(named)) != len(named):
                raise BadArchive(f"{path} does not hold what its manifest says")
            for entry in manifest.entries:
                _check(packed, entry, path)
            yield Reader(packed, manifest)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        said = getattr(error, "strerror", None) or error
        raise BadArchive(f"{path} cannot be read as a backup: {said}") from error


def _manifest(packed: zipfile.ZipFile, path: Path) -> Manifest:
    try:
        info = packed.getinfo(MANIFEST)
        if info.file_size > LARGEST_MANIFEST:
            raise ValueError("it is too large")
        stored = json.loads(packed.read(info))
        if stored["format"] != FORMAT:
            raise BadArchive(
                f"{path} has format {stored['format']!r}, and this version reads {FORMAT}: upgrade Penstock"
            )
        entries = [Entry(str(one["name"]), int(one["size"]), str(one["sha256"])) for one in stored.pop("entries")]
        stored["migrations"] = [(int(a), str(b), str(c)) for a, b, c in stored["migrations"]]
        stored["rows"] = {str(name): int(count) for name, count in stored["rows"].items()}
        made = Manifest(**stored, entries=entries)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadArchive(f"{path} has no readable manifest ({error}): it is not a backup of Penstock") from error
    if len(made.entries) > MOST_ENTRIES or not {PENSTOCK_DUMP, DAGSTER_DUMP} <= {one.name for one in made.entries}:
        raise BadArchive(f"{path} lacks a dump, or has too many entries")
    return made


def _check(packed: zipfile.ZipFile, entry: Entry, path: Path) -> None:
    safe = _NAME.fullmatch(entry.name) and ".." not in entry.name.split("/")
    known = entry.name in (PENSTOCK_DUMP, DAGSTER_DUMP, SEALED) or entry.name.startswith((FILES, SECRETS, MIRRORS))
    if not safe or not known:
        raise BadArchive(f"{path} has an entry with the name {entry.name!r}, which no backup has")
    digest, size = hashlib.sha256(), 0
    with packed.open(entry.name) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            if size > entry.size:
                break
    if (size, digest.hexdigest()) != (entry.size, entry.sha256):
        raise BadArchive(f"{path} is damaged: {entry.name} is not what the manifest says")


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sealed(content: bytes, key: bytes, name: str) -> bytes:
    """Encrypts by AES-256-GCM with a key derived from `key` (HKDF-SHA256), bound to the backup's id `name`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(12)
    return nonce + AESGCM(_derived(key)).encrypt(nonce, content, name.encode())


def unsealed(content: bytes, key: bytes, name: str) -> bytes:
    """Raises `BadArchive` for another key."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(_derived(key)).decrypt(content[:12], content[12:], name.encode())
    except (InvalidTag, ValueError) as error:
        raise BadArchive("the key file is not the one that the backup's secrets were encrypted with") from error


def read_key(path: Path) -> bytes:
    """The content of a key file, at least 32 bytes. Raises `BadArchive`."""
    try:
        with path.open("rb") as file:
            key = file.read(4096).strip()
    except OSError as error:
        raise BadArchive(f"the key file {path} cannot be read: {error.strerror}") from error
    if len(key) < 32:
        raise BadArchive(f"the key file {path} has fewer than 32 bytes: make one with `openssl rand -hex 32`")
    return key


def _derived(key: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, None, b"penstock backup").derive(key)
