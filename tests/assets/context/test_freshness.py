"""How long changes take to be searchable, which are waiting, and what the status of a failing source shows."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.context.indexing import refresh as refresh_module
from assets.context.indexing.refresh import RefreshReport
from assets.context.search import status
from assets.context.source.sources import SourceError, add_source, list_sources, remove_source
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable
from core.eventlog.postgres import PostgresLog
from core.events import CHANGES, DEFAULT_TEAM, Event
from core.git import GitError
from core.health.freshness import SourceFreshness, read_freshness

Refresh = Callable[..., RefreshReport]


@pytest.fixture
def refresh(database: Database, history: Any, tmp_path: Path, hashing: Embedder) -> Refresh:
    def run(name: str = "demo", **options: Any) -> RefreshReport:
        add_source(database, DEFAULT_TEAM, name, str(history.path), roots=[tmp_path])
        options.setdefault("embedders", [hashing])
        return refresh_module.refresh(
            database, DEFAULT_TEAM, name, mirrors=tmp_path / "mirrors", roots=[tmp_path], **options
        )

    return run


@pytest.fixture
def announce(database: Database) -> Callable[..., None]:
    log = PostgresLog(database)

    def append(*ids: str, source: str = "demo") -> None:
        events = [
            Event(id=f"github:{one}", source="/github", type="penstock.source.changed", subject=source) for one in ids
        ]
        log.append([(CHANGES, event) for event in events])

    return append


def fresh(database: Database, source: str = "demo") -> SourceFreshness:
    with database.team(DEFAULT_TEAM) as connection:
        (found,) = read_freshness(connection, source)
    return found


def test_the_status_shows_waiting_changes_and_the_lag_of_the_last_one(
    database: Database, history: Any, refresh: Refresh, announce: Callable[..., None], hashing: Embedder
) -> None:
    history.commit({"a.py": "x = 1\n"})
    refresh()
    found = fresh(database)
    assert (found.state, found.lag_seconds, found.waiting) == ("fresh", None, 0), "nothing was announced yet"
    history.commit({"a.py": "x = 2\n"})
    announce("1", "2")
    announce("3", source="other")
    found = fresh(database)
    assert (found.state, found.waiting) == ("behind", 2)
    assert 0 < found.waiting_seconds < 600
    time.sleep(0.3)  # the lag is time itself
    refresh()
    found = fresh(database)
    assert (found.state, found.waiting, found.waiting_seconds) == ("fresh", 0, 0)
    assert found.lag_seconds is not None
    assert 0.3 <= found.lag_seconds < 600
    (model,) = found.models
    assert (model.model, model.complete, model.behind_seconds) == (hashing.identity, True, 0)
    assert model.lag_seconds is not None
    assert model.lag_seconds >= found.lag_seconds - 0.01


def test_an_index_is_fresh_only_while_somebody_has_looked_at_its_source(
    database: Database, history: Any, refresh: Refresh
) -> None:
    history.commit({"a.py": "x = 1\n"})
    refresh()
    assert 0 <= (fresh(database).look_seconds or -1) < 300
    with database.system() as connection:
        connection.execute("UPDATE source_indexes SET checked_at = now() - interval '2 hours'")
    found = fresh(database)
    assert (found.state, round((found.look_seconds or 0) / 3600), found.look_error) == ("unchecked", 2, None)
    with database.system() as connection:  # a sweep has tried to look, in vain
        connection.execute(
            "INSERT INTO sweeps (team_id, service, project, source, since, failures, error) "
            "VALUES (%s, 'git', 'demo', 'demo', now(), 3, 'cannot be reached')",
            (DEFAULT_TEAM,),
        )
    assert (fresh(database).state, fresh(database).look_error) == ("unchecked", "cannot be reached")
    with database.system() as connection:
        connection.execute("UPDATE sweeps SET swept_at = now(), failures = 0, error = NULL")
    assert (fresh(database).state, fresh(database).look_error) == ("fresh", None)
    assert (fresh(database).look_seconds or 0) < 300


def test_a_change_that_was_indexed_before_it_was_announced_waits_for_nothing(
    database: Database, history: Any, refresh: Refresh, announce: Callable[..., None]
) -> None:
    history.commit({"a.py": "x = 1\n"})
    refresh()
    announce("late")
    assert fresh(database).waiting == 1
    assert not refresh().changed
    assert (fresh(database).waiting, fresh(database).lag_seconds) == (0, None)


def test_the_time_in_a_runs_tag_counts_after_the_log_has_pruned_the_change(
    database: Database, history: Any, refresh: Refresh
) -> None:
    history.commit({"a.py": "x = 1\n"})
    refresh(changed_at=datetime.now(UTC) - timedelta(minutes=2))
    lag = fresh(database).lag_seconds
    assert lag is not None
    assert 120 <= lag < 180


def test_a_change_that_an_earlier_refresh_covered_does_not_count_again(
    database: Database, history: Any, refresh: Refresh, announce: Callable[..., None]
) -> None:
    history.commit({"a.py": "x = 1\n"})
    announced_at = datetime.now(UTC)
    announce("1")
    refresh()  # for a task, say
    first = fresh(database).lag_seconds
    history.commit({"a.py": "x = 2\n"})
    refresh(changed_at=announced_at)  # the run that the change started; the second commit is not announced yet
    assert fresh(database).lag_seconds == first


def test_only_the_unavailable_model_is_behind(
    database: Database,
    history: Any,
    refresh: Refresh,
    announce: Callable[..., None],
    hashing: Embedder,
    wordllama: Embedder,
) -> None:
    class Gone:
        identity, dimensions, max_tokens = wordllama.identity, wordllama.dimensions, wordllama.max_tokens

        def embed_documents(self, texts: Any) -> Any:
            raise EmbedderUnavailable("start it")

        def embed_query(self, text: str) -> Any:
            raise EmbedderUnavailable("start it")

    history.commit({"a.py": "def first(): pass\n"})
    refresh(embedders=[hashing, wordllama])
    history.commit({"a.py": "def second(): pass\n"})
    announce("1")
    refresh(embedders=[hashing, Gone()])
    models = {model.model: model for model in fresh(database).models}
    assert models[hashing.identity].complete
    assert not models[wordllama.identity].complete
    assert models[wordllama.identity].behind_seconds > 0
    assert models[wordllama.identity].lag_seconds is None, "no announced change has been found by it"
    refresh(embedders=[hashing, wordllama])
    models = {model.model: model for model in fresh(database).models}
    assert models[wordllama.identity].complete
    assert (models[wordllama.identity].lag_seconds or 0) > (models[hashing.identity].lag_seconds or 0)


def test_a_source_that_fails_says_why_since_when_and_how_often_until_it_works_again(
    database: Database, history: Any, refresh: Refresh, announce: Callable[..., None]
) -> None:
    commit = history.commit({"a.py": "x = 1\n"})
    refresh()
    announce("1")
    gone = history.path.rename(history.path.with_name("gone"))
    for _ in range(2):
        with pytest.raises(GitError):
            refresh_module.refresh(
                database, DEFAULT_TEAM, "demo", mirrors=gone.parent / "mirrors", roots=[gone.parent], embedders=[]
            )
    found = status(database, DEFAULT_TEAM, "demo")
    assert (found.state, found.commit) == ("failing", commit)
    assert found.freshness is not None
    assert (found.freshness.failures, found.freshness.waiting) == (2, 1)
    assert "is not a git repository" in (found.freshness.error or "")
    assert found.freshness.failing_since is not None
    gone.rename(history.path)
    refresh()
    found = status(database, DEFAULT_TEAM, "demo")
    assert found.state == "fresh"
    assert found.freshness is not None
    assert (found.freshness.error, found.freshness.failing_since, found.freshness.waiting) == (None, None, 0)
    assert found.gate is not None
    assert found.gate.passed


def test_a_credential_in_a_location_is_not_in_the_reason_of_a_failure(database: Database, tmp_path: Path) -> None:
    add_source(database, DEFAULT_TEAM, "demo", "https://user:s3cret@127.0.0.1:9/x.git")
    with pytest.raises(GitError):
        refresh_module.refresh(database, DEFAULT_TEAM, "demo", mirrors=tmp_path, roots=[])
    found = status(database, DEFAULT_TEAM, "demo")
    assert found.state == "failing"
    assert "127.0.0.1:9" in repr(found)
    assert "s3cret" not in repr(found)


def test_a_removed_source_leaves_nothing_and_can_be_added_again(
    database: Database, history: Any, refresh: Refresh, announce: Callable[..., None], tmp_path: Path
) -> None:
    history.commit({"a.py": "x = 1\n"})
    refresh()
    refresh("demo-2")
    removed = remove_source(database, DEFAULT_TEAM, "Demo", tmp_path / "mirrors")
    assert removed.name == "demo"
    assert [source.name for source in list_sources(database, DEFAULT_TEAM)] == ["demo-2"]
    assert {path.name.rpartition("-")[0] for path in (tmp_path / "mirrors").glob("*/*.git")} == {"demo-2"}
    with database.team(DEFAULT_TEAM) as connection:
        for table in ("index_versions", "source_files", "source_refreshes", "index_gates", "source_indexes"):
            rows = connection.execute(f"SELECT DISTINCT source FROM {table}".encode()).fetchall()  # noqa: S608
            assert rows == [("demo-2",)], table
    with pytest.raises(SourceError, match="no source 'demo'"):
        remove_source(database, DEFAULT_TEAM, "demo", tmp_path / "mirrors")
    assert refresh().index_version == "demo#1"
