"""Makes a platform again from the file of a backup, beside what is there, and puts it in its place in one step.

Until that step, a failed or killed restore has changed nothing: databases are filled under other names and files in a
folder of their own. The step renames both databases in one transaction; the files follow, and a marker in the home has
`penstock restore --resume` finish that if it is interrupted.
"""

import io
import json
import os
import shutil
import tarfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import psycopg

from core.database import schema
from core.database.schema import SchemaError
from dagster_project import records
from dagster_project.operations import dumps
from dagster_project.operations.archive import (
    DAGSTER_DUMP,
    FILES,
    MIRRORS,
    PENSTOCK_DUMP,
    SEALED,
    SECRETS,
    BadArchive,
    Manifest,
    Reader,
    open_archive,
    unsealed,
)
from dagster_project.operations.backup import (
    PLAIN_FILES,
    PLAIN_FOLDERS,
    SECRET_FILES,
    SECRET_FOLDERS,
    positions_of,
    rows_of,
)
from dagster_project.operations.dumps import RestoreFailed, database_of, named
from dagster_project.operations.places import Places, open_places
from dagster_project.operations.record import UNFINISHED

if TYPE_CHECKING:
    from core.settings import Settings

_STAGED = ".restore-"
_FETCH_SECONDS = 3600.0
FILLED = ("tasks", "deliveries", "sources", "event_log", "users", "audit_log")
"""A database with a row in any of these is not empty."""


@dataclass(frozen=True)
class Restored:
    """`kept` are the names under which databases that were there are kept."""

    manifest: Manifest
    kept: tuple[str, ...]


def restore(
    settings: "Settings",
    archive: Path,
    *,
    replace: bool = False,
    key: bytes | None = None,
    kafka: Literal["same", "new"] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Checks everything, then restores. `replace` allows that something is there: its databases are kept under other
    names, its files in a folder of the home. `kafka` says whether the brokers still have the events of the backup.
    Raises `BadArchive`, `RestoreFailed`, `SchemaError`, `NotAllowed`, `psycopg.Error`."""
    try:
        with records.only_one(settings):
            _check_not_running(settings)
            if (settings.home / UNFINISHED).exists():
                raise RestoreFailed("an earlier restore was interrupted: run `penstock restore --resume` first")
            tell("checking the archive")
            with open_archive(archive) as reader:
                manifest = reader.manifest
                _check_schema(manifest)
                files = _files(reader, key)
                if manifest.event_log == settings.event_log == "kafka" and kafka is None:
                    raise RestoreFailed(
                        "say whether Kafka still has the events of that time (--kafka same) or its topics are new "
                        "and empty (--kafka new): offsets of other topics mean nothing there"
                    )
                with open_places(settings) as places:
                    return _restore(settings, places, reader, files, replace, kafka == "new", tell)
    except records.AlreadyRuns:
        raise RestoreFailed("the platform runs: `penstock down` stops it") from None


def _check_not_running(settings: "Settings") -> None:
    record = records.read_record(settings)
    if records.running_platform(settings) or (record is not None and record.left):
        raise RestoreFailed("the platform runs, or parts of it are left: `penstock down` stops them")


def _check_schema(manifest: Manifest) -> None:
    """Raises `SchemaError` for a newer or foreign schema."""
    known = {one.version: (one.name, one.sha256) for one in schema.migrations()}
    newest = max(known)
    if manifest.schema > newest:
        raise SchemaError(
            f"the backup is of schema {manifest.schema:04d} (Penstock {manifest.version}), this version ends at "
            f"{newest:04d}: upgrade Penstock first"
        )
    for number, name, digest in manifest.migrations:
        if known.get(number) != (name, digest):
            raise SchemaError(f"the backup has another edition of migration {number:04d}_{name} than this version")


def _restore(
    settings: "Settings",
    places: Places,
    reader: Reader,
    files: dict[str, bytes | None],
    replace: bool,
    new_kafka: bool,
    tell: Callable[[str], None],
) -> Restored:
    clear_away(settings, places)
    _check_unused(places)
    if not replace and (what := _in_the_way(settings, places, reader, files)):
        raise RestoreFailed(
            f"{what}: restore into an empty home, or add --replace, which keeps what is there under another name"
        )
    stamp = uuid.uuid4().hex[:8]
    staged = {url: named(url, f"{database_of(url)}_restore_{stamp}") for url in (places.penstock, places.dagster)}
    folder = settings.home / f"{_STAGED}{stamp}"
    try:
        folder.mkdir(mode=0o700)
        _stage_files(reader, files, folder)
        _stage_mirrors(reader, folder, settings.home)
        tell("Dagster's database")
        dumps.create(staged[places.dagster], owner=places.dagster_user)
        dumps.restore(staged[places.dagster], reader.pieces(DAGSTER_DUMP), role=places.dagster_user)
        tell("Penstock's database")
        _fill(staged[places.penstock], places, reader)
        if new_kafka:
            _forget_offsets(staged[places.penstock], staged[places.dagster])
        renames, kept = [], []
        for url, new in staged.items():
            if dumps.exists(url):
                former = f"{database_of(url)}_before_{stamp}"
                renames.append((database_of(url), former))
                kept.append(former)
            renames.append((database_of(new), database_of(url)))
        _mark(settings.home, {"folder": folder.name, "staged": database_of(staged[places.penstock])})
        dumps.swap(places.penstock, renames)
    except BaseException:
        if (settings.home / UNFINISHED).exists() and not dumps.exists(staged[places.penstock]):
            raise  # the databases have changed places: `--resume` finishes with the files
        for url in staged.values():
            dumps.drop(url)
        shutil.rmtree(folder, ignore_errors=True)
        (settings.home / UNFINISHED).unlink(missing_ok=True)
        raise
    _place(settings.home, folder)
    if not replace:  # what was there was empty
        for former in kept:
            dumps.drop(named(places.penstock, former))
        kept = []
    return Restored(reader.manifest, tuple(kept))


def resume(settings: "Settings") -> str:
    """Finishes or undoes a restore that was interrupted; returns a sentence. Raises like `restore`."""
    try:
        with records.only_one(settings):
            _check_not_running(settings)
            with open_places(settings) as places:
                try:
                    marked = json.loads((settings.home / UNFINISHED).read_text(encoding="utf-8"))
                    folder, name = settings.home / Path(str(marked["folder"])).name, str(marked["staged"])
                except FileNotFoundError:
                    clear_away(settings, places)
                    return "no restore was interrupted"
                if dumps.exists(named(places.penstock, name)):
                    (settings.home / UNFINISHED).unlink()
                    clear_away(settings, places)
                    return "the interrupted restore was undone: what was there is there"
                _place(settings.home, folder)
                return "the interrupted restore is finished"
    except records.AlreadyRuns:
        raise RestoreFailed("the platform runs: `penstock down` stops it") from None


def clear_away(settings: "Settings", places: Places) -> None:
    """Removes what killed restores left beside the platform."""
    for url in (places.penstock, places.dagster):
        for name in dumps.left_over(url):
            dumps.drop(named(url, name))
    for folder in settings.home.glob(f"{_STAGED}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _check_unused(places: Places) -> None:
    with psycopg.connect(named(places.penstock, "postgres"), connect_timeout=10) as connection:
        row = connection.execute(
            "SELECT count(*), min(application_name) FROM pg_stat_activity WHERE datname = ANY(%s) "
            "AND backend_type = 'client backend'",
            ([database_of(places.penstock), database_of(places.dagster)],),
        ).fetchone()
    if row and row[0]:
        raise RestoreFailed(
            f"{row[0]} clients use the database (one is {row[1] or 'unnamed'}): stop the platform first"
        )


def _in_the_way(settings: "Settings", places: Places, reader: Reader, files: dict[str, bytes | None]) -> str | None:
    """What a restore would replace; None if there is nothing."""
    for url in (places.penstock, places.dagster):
        if dumps.exists(url) and (name := _filled(url)):
            return f"the database {database_of(url)} is not empty ({name})"
    for name in sorted({*files, *(f"mirrors/{one.removeprefix(MIRRORS)}" for one in reader.names(MIRRORS))}):
        if (settings.home / name).exists():
            return f"{settings.home / name} is there"
    return None


def _filled(url: str) -> str | None:
    with psycopg.connect(url, connect_timeout=10) as connection:
        tables = [
            (str(space), str(name))
            for space, name in connection.execute(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
                "AND n.nspname NOT LIKE 'pg_%%'"
            )
        ]
        ours = any(space == "penstock" for space, _ in tables)
        dagster = ("public", "job_ticks") in tables
        for space, name in tables:
            if (ours and (space != "penstock" or name not in FILLED)) or (dagster and name != "runs"):
                continue
            asked = psycopg.sql.SQL("SELECT FROM {}.{} LIMIT 1").format(
                psycopg.sql.Identifier(space), psycopg.sql.Identifier(name)
            )
            if connection.execute(asked).fetchone() is not None:
                return f"{space}.{name}"
    return None


def _fill(url: str, places: Places, reader: Reader) -> None:
    """Restores Penstock's database, compares it with the manifest, and brings its schema up to date."""
    manifest = reader.manifest
    dumps.create(url, owner=places.owner)
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        schema.create_roles(connection, places.login)
    dumps.restore(url, reader.pieces(PENSTOCK_DUMP), role=None)
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        if rows_of(connection) != manifest.rows or positions_of(connection) != manifest.positions:
            raise RestoreFailed("the restored database does not hold what the manifest says: nothing was replaced")
        connection.execute("ANALYZE")
    schema.upgrade(url, login=places.login)


def _forget_offsets(penstock: str, dagster: str) -> None:
    """For topics that are new: the relay copies every stored event again, and sensors read from the start."""
    from dagster._core.scheduler.instigation import InstigatorState, SensorInstigatorData
    from dagster._serdes import deserialize_value, serialize_value

    with psycopg.connect(penstock, connect_timeout=10) as connection:
        connection.execute("DELETE FROM penstock.relay_positions")
    with psycopg.connect(dagster, connect_timeout=10) as connection:
        if connection.execute("SELECT to_regclass('instigators')").fetchone() == (None,):
            return  # Dagster was never started
        rows = connection.execute("SELECT id, instigator_body FROM instigators").fetchall()
        for number, body in rows:
            state = deserialize_value(str(body), InstigatorState)
            held = state.instigator_data
            if isinstance(held, SensorInstigatorData) and held.cursor and '"offsets"' in held.cursor:
                text = serialize_value(state.with_data(held._replace(cursor=None)))
                connection.execute("UPDATE instigators SET instigator_body = %s WHERE id = %s", (text, number))


def _files(reader: Reader, key: bytes | None) -> dict[str, bytes | None]:
    """The files of the home, by their path in it: the content of encrypted ones, None for others. Raises
    `BadArchive`."""
    found: dict[str, bytes | None] = {}
    for prefix, files, folders in (
        (FILES, PLAIN_FILES, PLAIN_FOLDERS),
        (SECRETS, SECRET_FILES, SECRET_FOLDERS),
    ):
        for name in reader.names(prefix):
            found[_belongs(name.removeprefix(prefix), files, folders)] = None
    if reader.manifest.secrets == "sealed":
        if key is None:
            raise BadArchive("the backup's secrets are encrypted: give the key file by --key-file")
        content = unsealed(b"".join(reader.pieces(SEALED)), key, reader.manifest.id)
        for name, inner in _unpacked(content):
            found[_belongs(name, SECRET_FILES, SECRET_FOLDERS)] = inner
    return found


def _unpacked(content: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as packed:
            for info in packed:
                file = packed.extractfile(info) if info.isfile() else None
                if file is None:
                    raise BadArchive(f"the backup's secrets have an entry {info.name!r} that is not a file")
                yield info.name, file.read()
    except tarfile.TarError as error:
        raise BadArchive(f"the backup's secrets cannot be read: {error}") from error


def _belongs(name: str, files: tuple[str, ...], folders: tuple[str, ...]) -> str:
    path = PurePosixPath(name)
    inside = len(path.parts) > 1 and path.parts[0] in folders
    if path.is_absolute() or ".." in path.parts or not (name in files or inside):
        raise BadArchive(f"the backup has a file {name!r}, which no backup has")
    return name


def _stage_files(reader: Reader, files: dict[str, bytes | None], folder: Path) -> None:
    names = {name.removeprefix(prefix): name for prefix in (FILES, SECRETS) for name in reader.names(prefix)}
    for name, content in files.items():
        path = folder / "files" / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "wb") as file:
            for piece in [content] if content is not None else reader.pieces(names[name]):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())


def _stage_mirrors(reader: Reader, folder: Path, home: Path) -> None:
    """Makes a bare repository of each bundle. Mirrors that are there stay."""
    from core.git import command

    for name in reader.names(MIRRORS):
        place = _belongs(f"mirrors/{name.removeprefix(MIRRORS)}", (), ("mirrors",))
        if (home / place).exists():
            continue
        path, bundle = folder / "files" / place, folder / "bundle"
        with bundle.open("wb") as file:
            for piece in reader.pieces(name):
                file.write(piece)
        path.mkdir(mode=0o700, parents=True)
        command.run(["init", "--quiet", "--bare", str(path)], purpose="init", where=path)
        command.run(
            ["fetch", "--quiet", str(bundle), "+refs/*:refs/*"],
            purpose="unbundle",
            where=path,
            git_dir=path,
            env=command.environment("file"),
            timeout=_FETCH_SECONDS,
        )
        bundle.unlink()


def _mark(home: Path, value: dict[str, str]) -> None:
    records.write(home / UNFINISHED, value)


def _place(home: Path, folder: Path) -> None:
    """Moves staged files into the home, and what is there into a folder beside them. Safe to repeat."""
    staged, former = folder / "files", home / f"before-restore-{folder.name.removeprefix(_STAGED)}"
    mirrors = [path for path in staged.glob("mirrors/*/*") if path.is_dir()]
    files = [path for path in staged.rglob("*") if path.is_file() and not any(one in path.parents for one in mirrors)]
    for path in sorted([*files, *mirrors]):
        inside = path.relative_to(staged)
        place = home / inside
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.exists():
            (former / inside).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.rename(former / inside)
        path.rename(place)
    shutil.rmtree(folder, ignore_errors=True)
    (home / UNFINISHED).unlink(missing_ok=True)
