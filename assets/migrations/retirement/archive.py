"""Archives vectors of retired models in files, to restore a model without embedding anything again.

An archive is a compressed file of rows and a JSON description with the file's checksum and the model's row of the
catalogue. The description is written last: without it there is no archive. Each row has a digest of its content's key,
so that a file of another database restores nothing wrong.

Layout: gzip (RFC 1952) of blocks. Each is a little-endian row count, then columns: teams (16 bytes each), content ids
(int64), chunks (int32), content digests (16 bytes), vectors (float32; the first bytes of all numbers, then the second
ones, and so on, since similar bytes compress better together).
"""

import base64
import contextlib
import gzip
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from assets.context.store import binary
from core.database import Database
from core.embedding import Vectors
from core.embedding.catalogue import Entry

BLOCK_ROWS = 4096
SPARE_BYTES = 64 << 20
"""Disk space that an archive leaves free."""

KEPT = 10
KEPT_BYTES = 20 << 30
"""Limits on all archives together. The oldest are removed first; the newest always stays."""

_DIGEST = 16
_LARGEST_DESCRIPTION = 16 << 20
_PAGE = """
SELECT v.team_id, v.content_id, v.chunk, vector_send(v.embedding), c.blob, c.chunker
FROM {table} v LEFT JOIN contents c ON c.id = v.content_id
WHERE (v.content_id, v.chunk) > (%s, %s) ORDER BY v.content_id, v.chunk LIMIT %s
"""


class ArchiveFailed(RuntimeError):
    """Vectors could not be archived or restored; the message says why and what to do. Nothing was dropped."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows. `digests` has 16 bytes per row; `vectors` has shape (rows, dimensions)."""

    teams: tuple[uuid.UUID, ...]
    contents: NDArray[np.int64]
    chunks: NDArray[np.int64]
    digests: bytes
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.teams)


@dataclass(frozen=True, slots=True)
class Archive:
    """Describes `file`; stored next to it as JSON. `bytes` and `sha256` are of the file, `known_answers` is base64."""

    name: str
    identity: str
    dimensions: int
    spec: dict[str, Any] | None
    known_answers: str | None
    rows: int
    bytes: int
    sha256: str
    written_at: str
    file: str


def write(database: Database, entry: Entry, folder: Path) -> Archive:
    """Writes a model's vectors under `folder`. When it raises `ArchiveFailed`, it leaves no file there.

    Killed at any moment, it leaves no archive; `clear_away` removes the remains.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        clear_away(folder)
        _check_room(database, entry, folder)
        now = datetime.now(UTC)
        base = f"model-{entry.id}-{now:%Y%m%dT%H%M%S%f}"
        rows = 0
        data = folder / f"{base}.vectors.gz"
        digest = hashlib.sha256()
        with _whole(data) as raw:
            counted = _Hashed(raw, digest)
            with gzip.GzipFile(fileobj=cast("IO[bytes]", counted), mode="wb", compresslevel=1, mtime=0) as packed:
                for block in _pages(database, entry):
                    packed.write(_packed(block))
                    rows += len(block)
        made = Archive(
            name=entry.name,
            identity=entry.identity,
            dimensions=entry.dimensions,
            spec=entry.spec,
            known_answers=base64.b64encode(entry.known_answers).decode() if entry.known_answers else None,
            rows=rows,
            bytes=counted.written,
            sha256=digest.hexdigest(),
            written_at=now.isoformat(timespec="seconds"),
            file=data.name,
        )
        with _whole(folder / f"{base}.json") as raw:
            raw.write(json.dumps(asdict(made), indent=1).encode())
        return made
    except OSError as error:
        with contextlib.suppress(OSError):
            clear_away(folder)
        raise ArchiveFailed(
            f"the vectors of {entry.name} cannot be written to {folder}: {error.strerror or error}; nothing was "
            "dropped: make room there and try again"
        ) from error


def clear_away(folder: Path) -> None:
    """Removes the remains of a killed or failed `write`: unfinished files, and files without a description."""
    for part in folder.glob("model-*.part"):
        part.unlink(missing_ok=True)
    for data in folder.glob("model-*.vectors.gz"):
        if not data.with_name(data.name.removesuffix(".vectors.gz") + ".json").exists():
            data.unlink(missing_ok=True)


def listed(folder: Path) -> list[Archive]:
    """The archives, the newest first; unreadable descriptions are skipped."""
    found = []
    for path in folder.glob("model-*.json") if folder.is_dir() else ():
        try:
            if path.stat().st_size > _LARGEST_DESCRIPTION:
                continue
            made = Archive(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        if made.file == path.name.removesuffix(".json") + ".vectors.gz":
            found.append(made)
    return sorted(found, key=lambda made: made.written_at, reverse=True)


def find(folder: Path, name: str) -> Archive:
    """The newest archive of a model by its name or identity. Raises `ArchiveFailed`."""
    found = listed(folder)
    for made in found:
        if name in (made.name, made.identity):
            return made
    names = ", ".join(sorted({made.name for made in found})) or "none"
    raise ArchiveFailed(f"there is no archive of a model {name!r} in {folder}; archived models: {names}")


def check(folder: Path, made: Archive) -> None:
    """Raises `ArchiveFailed` unless the file has its description's checksum."""
    digest = hashlib.sha256()
    try:
        with (folder / made.file).open("rb") as raw:
            while part := raw.read(1 << 20):
                digest.update(part)
    except OSError as error:
        raise ArchiveFailed(f"{folder / made.file} cannot be read: {error.strerror}") from error
    if digest.hexdigest() != made.sha256:
        raise ArchiveFailed(f"{folder / made.file} is damaged: its checksum is not that of its description")


def blocks(folder: Path, made: Archive) -> Iterator[Block]:
    """The rows, block by block. Raises `ArchiveFailed` for a file with other than the described rows."""
    try:
        with gzip.open(folder / made.file, "rb") as packed:
            rows = 0
            while head := packed.read(4):
                count = int.from_bytes(head, "little")
                if len(head) < 4 or not 0 < count <= BLOCK_ROWS:
                    raise ValueError(f"a block of {count} rows")
                yield _unpacked(cast("IO[bytes]", packed), count, made.dimensions)
                rows += count
            if rows != made.rows:
                raise ValueError(f"{rows} rows instead of {made.rows}")
    except (OSError, EOFError, ValueError) as error:
        raise ArchiveFailed(f"{folder / made.file} cannot be read: {error}") from error


def superfluous(folder: Path) -> list[Archive]:
    """The archives beyond `KEPT` and `KEPT_BYTES`, the newest first."""
    total, found = 0, []
    for place, made in enumerate(listed(folder)):
        total += made.bytes
        if place and (place >= KEPT or total > KEPT_BYTES):
            found.append(made)
    return found


def prune(folder: Path) -> list[str]:
    """Removes the oldest archives beyond `KEPT` and `KEPT_BYTES`; returns the names of their models."""
    gone = superfluous(folder)
    for made in gone:
        # The description first: `clear_away` removes a file without one.
        (folder / made.file).with_name(made.file.removesuffix(".vectors.gz") + ".json").unlink(missing_ok=True)
        (folder / made.file).unlink(missing_ok=True)
    return [made.name for made in gone]


def digest_of(blob: bytes, chunker: str) -> bytes:
    """A 16-byte digest of a content's key, which is unique within its team."""
    return hashlib.sha256(len(blob).to_bytes(4, "little") + blob + chunker.encode()).digest()[:_DIGEST]


def table_of(connection: Connection[TupleRow], model_id: int) -> sql.Identifier:
    """The model's table of vectors. Raises `ArchiveFailed` for a model without one."""
    row = connection.execute(
        "SELECT table_name FROM embedding_models WHERE id = %s AND to_regclass(table_name) IS NOT NULL", (model_id,)
    ).fetchone()
    if row is None:
        raise ArchiveFailed(f"the embedding model {model_id} has no table of vectors")
    return sql.Identifier(row[0])


def _check_room(database: Database, entry: Entry, folder: Path) -> None:
    with database.system() as connection:
        statement = sql.SQL("SELECT count(*) FROM {}").format(table_of(connection, entry.id))
        row = connection.execute(statement).fetchone()
    needed = (row[0] if row else 0) * (16 + 8 + 4 + _DIGEST + 4 * entry.dimensions) + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ArchiveFailed(
            f"the vectors of {entry.name} need up to {needed >> 20} MB in {folder}, where {free >> 20} MB are free; "
            "nothing was dropped: make room there and try again"
        )


def _pages(database: Database, entry: Entry) -> Iterator[Block]:
    last = (-1, -1)
    while True:
        with database.system() as connection:
            statement = sql.SQL(_PAGE).format(table=table_of(connection, entry.id))
            rows = connection.execute(statement, (*last, BLOCK_ROWS), binary=True).fetchall()
        if not rows:
            return
        last = (rows[-1][1], rows[-1][2])
        yield Block(
            tuple(row[0] for row in rows),
            np.array([row[1] for row in rows], dtype=np.int64),
            np.array([row[2] for row in rows], dtype=np.int64),
            # The digest of a vector whose content was removed matches none.
            b"".join(bytes(_DIGEST) if row[4] is None else digest_of(bytes(row[4]), row[5]) for row in rows),
            binary.received_vectors([row[3] for row in rows]),
        )


def _packed(block: Block) -> bytes:
    shuffled = np.ascontiguousarray(block.vectors.astype("<f4")).view(np.uint8).reshape(-1, 4).T
    return b"".join(
        (
            len(block).to_bytes(4, "little"),
            b"".join(team.bytes for team in block.teams),
            block.contents.astype("<i8").tobytes(),
            block.chunks.astype("<i4").tobytes(),
            block.digests,
            np.ascontiguousarray(shuffled).tobytes(),
        )
    )


def _unpacked(packed: IO[bytes], count: int, dimensions: int) -> Block:
    def read(size: int) -> bytes:
        content = packed.read(size)
        if len(content) != size:
            raise ValueError("it ends too early")
        return content

    teams = read(16 * count)
    contents = np.frombuffer(read(8 * count), dtype="<i8").astype(np.int64)
    chunks = np.frombuffer(read(4 * count), dtype="<i4").astype(np.int64)
    digests = read(_DIGEST * count)
    shuffled = np.frombuffer(read(4 * count * dimensions), dtype=np.uint8).reshape(4, -1)
    vectors = np.ascontiguousarray(shuffled.T).view("<f4").reshape(count, dimensions).astype(np.float32)
    return Block(
        tuple(uuid.UUID(bytes=teams[place : place + 16]) for place in range(0, len(teams), 16)),
        contents,
        chunks,
        digests,
        vectors,
    )


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears complete and synced to disk, or not at all."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as raw:
        yield raw
        raw.flush()
        os.fsync(raw.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class _Hashed:
    """A writer that counts its bytes and adds them to a digest."""

    def __init__(self, raw: IO[bytes], digest: Any) -> None:
        self._raw = raw
        self._digest = digest
        self.written = 0

    def write(self, content: bytes) -> int:
        self._digest.update(content)
        self.written += len(content)
        return self._raw.write(content)

    def flush(self) -> None:
        self._raw.flush()
