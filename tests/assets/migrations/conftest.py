"""A source with a history whose commit messages are about the files that they change, indexed with one model."""

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import add_source
from assets.migrations.lifecycle import switch
from assets.migrations.lifecycle.record import Migration, Options
from assets.platform import Platform
from core.database import Database
from core.embedding import catalogue
from core.embedding.catalogue import Entry
from core.settings import Settings
from core.states import ModelState
from core.teams import DEFAULT_TEAM

FILES = 120


def write_history(path: Path, files: int = FILES, first: int = 0) -> None:
    """A bare repository; commit i brings file i, and its message has half of the file's own words."""
    rng = random.Random(first + 1)  # noqa: S311
    vocabulary = ["".join(rng.choice("bcdfghklmnprstvw") + rng.choice("aeiou") for _ in range(3)) for _ in range(900)]
    stream = b""
    for number in range(first, first + files):
        words = rng.sample(vocabulary, 12)
        body = f"def {words[0]}_{words[1]}({words[2]}):\n    # {' '.join(words[3:9])}\n    return {words[9]}\n"
        message = f"Make {words[0]} {words[3]} {words[5]} of {words[7]} {words[9]}"
        stream += (
            f"commit refs/heads/main\ncommitter A <a@example.org> {1_700_000_000 + number} +0000\n"
            f"data {len(message)}\n{message}\n"
            f"M 100644 inline src/{words[0]}_{number}.py\ndata {len(body)}\n{body}\n"
        ).encode()
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], env=environment, check=True)
    subprocess.run(["git", "-C", path, "fast-import", "--quiet"], input=stream, env=environment, check=True)


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    settings = Settings(home=tmp_path / "home", embedding_model="hashing", allowed_roots=(tmp_path,))
    made = Platform(settings, database_url)
    write_history(tmp_path / "repository.git")
    add_source(made.database, DEFAULT_TEAM, "demo", str(tmp_path / "repository.git"), roots=settings.roots)
    index(made)
    yield made
    made.close()


def index(platform: Platform, source: str = "demo") -> Any:
    used = platform.models.in_use()
    return refresh(
        platform.database,
        DEFAULT_TEAM,
        source,
        mirrors=platform.mirrors,
        roots=platform.settings.roots,
        embedders=used.asked,
        building=used.building,
    )


@pytest.fixture
def reindex(platform: Platform) -> Callable[[], Any]:
    """Refreshes the source."""
    return lambda: index(platform)


@pytest.fixture
def begin(platform: Platform) -> Callable[..., Migration]:
    """Starts a migration from the serving model to another."""

    def start(spec: Any, **options: Any) -> Migration:
        new = catalogue.register(platform.database, spec)
        with platform.database.system() as connection:
            old = next(entry for entry in catalogue.entries(connection) if entry.state == ModelState.SERVING)
        chosen = Options.model_validate({"drain_seconds": 0, "observe_seconds": 0, "margin": 0.05, **options})
        return switch.start(platform.database, old, new, chosen, {})

    return start


@pytest.fixture
def states(platform: Platform) -> Callable[[], dict[str, str]]:
    """The state of each model by name."""

    def look() -> dict[str, str]:
        with platform.database.system() as connection:
            return {entry.name: entry.state for entry in catalogue.entries(connection)}

    return look


@pytest.fixture
def entry(platform: Platform) -> Callable[[str], Entry]:
    def find(name: str) -> Entry:
        with platform.database.system() as connection:
            return catalogue.find(connection, name)

    return find


@pytest.fixture
def vectors(platform: Platform) -> Callable[[str], list[Any]]:
    """Every row of a model's table, in order."""

    def read(name: str, database: Database | None = None) -> list[Any]:
        with (database or platform.database).system() as connection:
            found = catalogue.find(connection, name)
            row = connection.execute("SELECT table_name FROM embedding_models WHERE id = %s", (found.id,)).fetchone()
            assert row
            statement = f"SELECT team_id, content_id, chunk, embedding::text FROM {row[0]} ORDER BY 2, 3"  # noqa: S608
            return connection.execute(statement).fetchall()

    return read
