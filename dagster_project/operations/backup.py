"""Writes one file from which a platform can be made again: both databases, the log's offsets, and files of the home.

Dagster's database, which has the sensors' cursors, is dumped before Penstock's, which has the events: so a restored
cursor is never beyond the log, no event is skipped, and what is read again is known by its id or its lease. All may run
meanwhile.
"""

import contextlib
import importlib.metadata
import io
import tarfile
import tomllib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from core.git import GitError, Repository, command, is_url
from dagster_project.operations import dumps
from dagster_project.operations.archive import (
    DAGSTER_DUMP,
    FILES,
    LARGEST_SECRETS,
    MIRRORS,
    PENSTOCK_DUMP,
    SEALED,
    SECRETS,
    BackupFailed,
    Manifest,
    Writer,
    new_archive,
    sealed,
)
from dagster_project.operations.places import Places, open_places
from dagster_project.operations.record import note_backup

if TYPE_CHECKING:
    from core.settings import Settings

PLAIN_FILES = ("defaults.json", "settings.toml")
PLAIN_FOLDERS = ("eval_sets", "evals")
SECRET_FILES = ("settings.toml", "model-proxy.toml")
SECRET_FOLDERS = ("secrets",)
_PIECE = 1 << 20
_BUNDLE_SECONDS = 3600.0


def backup(
    settings: "Settings",
    target: Path,
    *,
    secrets: bool = False,
    key: bytes | None = None,
    mirrors: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Writes `target`, whole or not at all, and returns its manifest. `secrets` puts the secrets in as they are, `key`
    encrypted; without either they stay out. `mirrors` adds those of all sources, not only those whose origin is gone.
    Raises `BackupFailed`, `NotAllowed`, `psycopg.Error`."""
    if settings.database_url is None and not (settings.home / "postgres" / "PG_VERSION").exists():
        raise BackupFailed(f"there is no platform in {settings.home}: nothing to back up")
    with open_places(settings) as places, new_archive(target) as writer:
        if not dumps.exists(places.penstock) or not dumps.exists(places.dagster):
            raise BackupFailed("the platform has never been started: nothing to back up")
        kafka = _kafka(settings)
        tell("Dagster's database")
        writer.add(DAGSTER_DUMP, dumps.dump(places.dagster, None))
        tell("Penstock's database")
        manifest = _dumped(settings, places, writer)
        left_out = _files(settings, writer, secrets=secrets, key=key, backup_id=manifest.id)
        tell("mirrors")
        left_out += _mirrors(settings, places, writer, every=mirrors)
        manifest = replace(
            manifest,
            kafka=kafka,
            secrets="sealed" if key else "plain" if secrets else "none",
            left_out=left_out,
            entries=writer.entries,
        )
        writer.finish(manifest)
    note_backup(settings.home, datetime.fromisoformat(manifest.made_at), target.absolute(), manifest.id)
    return manifest


def _dumped(settings: "Settings", places: Places, writer: Writer) -> Manifest:
    """Dumps Penstock's database and describes what the dump's snapshot sees."""
    with psycopg.connect(
        places.penstock, autocommit=True, connect_timeout=10, options="-c search_path=penstock,public"
    ) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute("SELECT pg_export_snapshot(), now()").fetchone()
        assert row is not None  # noqa: S101
        migrations = connection.execute("SELECT version, name, sha256 FROM schema_migrations ORDER BY 1").fetchall()
        manifest = Manifest(
            id=str(uuid.uuid4()),
            version=importlib.metadata.version("penstock"),
            made_at=row[1].astimezone(UTC).isoformat(),
            server=connection.info.server_version,
            migrations=[(int(a), str(b), str(c)) for a, b, c in migrations],
            event_log=settings.event_log,
            rows=rows_of(connection),
            positions=positions_of(connection),
            kafka={},
            secrets="none",
            left_out=[],
        )
        writer.add(PENSTOCK_DUMP, dumps.dump(places.penstock, str(row[0])))
        connection.execute("COMMIT")
    return manifest


def rows_of(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """The number of rows of each table."""
    names = connection.execute(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'penstock'::regnamespace AND c.relkind = 'r' "
        "ORDER BY 1"
    ).fetchall()
    counts = {}
    for (name,) in names:
        row = connection.execute(sql.SQL("SELECT count(*) FROM penstock.{}").format(sql.Identifier(name))).fetchone()
        counts[str(name)] = int(row[0]) if row else 0
    return counts


def positions_of(connection: psycopg.Connection[Any]) -> dict[str, list[list[Any]]]:
    """Of the event log: first and next offset of each topic, and how far groups and the relay have come."""
    found = {}
    for name, statement in (
        ("topics", "SELECT topic, first_offset, next_offset FROM penstock.log_topics ORDER BY 1"),
        ("groups", "SELECT consumer_group, topic, next_offset FROM penstock.log_groups ORDER BY 1, 2"),
        ("relay", "SELECT topic, next_offset FROM penstock.relay_positions ORDER BY 1"),
    ):
        found[name] = [list(row) for row in connection.execute(statement.encode()).fetchall()]
    return found


def _kafka(settings: "Settings") -> dict[str, dict[str, dict[str, int]]]:
    """Committed offsets of the consumer groups. Raises `BackupFailed` while Kafka does not answer."""
    if settings.event_log != "kafka":
        return {}
    from core.eventlog import EventLogUnavailable
    from core.eventlog.kafka_settings import kafka_log
    from dagster_project.jobs.events import READ_BY

    found: dict[str, dict[str, dict[str, int]]] = {}
    try:
        with contextlib.closing(kafka_log(settings)) as log:
            for topic, group in READ_BY.items():
                lag = log.lag(group, topic)
                ends = log.end_offsets(topic)
                found.setdefault(group, {})[topic] = {str(part): ends[part] - behind for part, behind in lag.items()}
    except (EventLogUnavailable, ValueError) as error:
        raise BackupFailed(f"the offsets of Kafka's consumers cannot be read: {error}") from error
    return found


def _files(settings: "Settings", writer: Writer, *, secrets: bool, key: bytes | None, backup_id: str) -> list[str]:
    """Adds files of the home; returns what was left out, with the reason."""
    home = settings.home
    private = {path for name in SECRET_FILES if (path := home / name).is_file() and _is_secret(path)}
    private |= {path for name in SECRET_FOLDERS for path in _below(home / name)}
    plain = {path for name in PLAIN_FILES if (path := home / name).is_file()} - private
    plain |= {path for name in PLAIN_FOLDERS for path in _below(home / name)}
    for path in sorted(plain):
        writer.add(f"{FILES}{path.relative_to(home)}", _pieces(path))
    if key is not None:
        writer.add(SEALED, iter([sealed(_packed(home, private), key, backup_id)]))
    elif secrets:
        for path in sorted(private):
            writer.add(f"{SECRETS}{path.relative_to(home)}", _pieces(path))
    elif private:
        return [f"{path.relative_to(home)}: a secret" for path in sorted(private)]
    return []


def _packed(home: Path, paths: set[Path]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as packed:
        for path in sorted(paths):
            content = path.read_bytes()
            info = tarfile.TarInfo(str(path.relative_to(home)))
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
            if held.tell() > LARGEST_SECRETS:
                raise BackupFailed(f"the secrets have more than {LARGEST_SECRETS >> 20} MB")
    return held.getvalue()


def _is_secret(path: Path) -> bool:
    """Whether a file of settings holds a secret; one that cannot be read counts as one."""
    from core.settings import secret_names

    if path.name != "settings.toml":
        return True
    try:
        return bool(set(tomllib.loads(path.read_text(encoding="utf-8"))) & set(secret_names()))
    except (OSError, ValueError):
        return True


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*") if folder.is_dir() else ():
        if path.is_file() and not path.is_symlink():
            yield path


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _mirrors(settings: "Settings", places: Places, writer: Writer, *, every: bool) -> list[str]:
    """Adds mirrors as git bundles: those of local repositories that are gone, or all. Returns what was left out."""
    from assets.context.indexing.refresh import mirror_path
    from assets.context.source.sources import Source

    left_out = []
    with psycopg.connect(places.penstock, connect_timeout=10) as connection:
        rows = connection.execute(
            "SELECT team_id, name, location, branch, repository, created_at FROM penstock.sources ORDER BY 1, 2"
        ).fetchall()
    for row in rows:
        source = Source(*row)
        mirror = mirror_path(settings.home / "mirrors", source)
        gone = not is_url(source.location) and not Path(source.location).exists()
        if not mirror.is_dir() or Repository(mirror).empty():
            continue
        if not (every or gone):
            left_out.append(f"mirror of {source.name}: it is fetched again from its repository")
            continue
        arguments = ["bundle", "create", "--quiet", "-", "--all"]
        try:
            with command.stream(
                arguments, purpose="bundle", where=mirror, git_dir=mirror, timeout=_BUNDLE_SECONDS
            ) as output:
                name = f"{MIRRORS}{mirror.relative_to(settings.home / 'mirrors')}"
                writer.add(name, iter(lambda: output.read(_PIECE), b""))
        except GitError as error:
            raise BackupFailed(f"the mirror of {source.name} cannot be read: {error}") from error
    return left_out
