import contextlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from assets.context.indexing.refresh import RefreshReport, refresh
from assets.context.source.sources import add_source
from assets.context.store import segments, versions
from assets.context.store.memory import MemoryIndex
from assets.context.store.postgres import open_index
from assets.context.store.prune import Pruned, prune_contents
from core.database import Database
from core.embedding import Embedder
from core.events import DEFAULT_TEAM
from core.git import Repository

NOW = timedelta(0)
Refresh = Callable[..., RefreshReport]


@pytest.fixture
def update(database: Database, history: Any, tmp_path: Path, hashing: Embedder) -> Refresh:
    def run(name: str = "demo", **options: Any) -> RefreshReport:
        add_source(database, DEFAULT_TEAM, name, str(history.path), roots=[tmp_path])
        mirrors = tmp_path / "mirrors"
        return refresh(database, DEFAULT_TEAM, name, mirrors=mirrors, roots=[tmp_path], embedders=[hashing], **options)

    return run


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "KEPT_VERSIONS", 1)


def prune(database: Database) -> Pruned:
    return prune_contents(database, DEFAULT_TEAM, grace=NOW, readers=NOW)


def counted(database: Database) -> dict[str, int]:
    found = {}
    with database.team(DEFAULT_TEAM) as connection:
        for table in ("contents", "chunks", "vectors_1"):
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
            found[table] = int(row[0]) if row else 0
        row = connection.execute("SELECT count(DISTINCT segment) FROM postings").fetchone()
        found["segments"] = int(row[0]) if row else 0
    return found


def assert_whole(database: Database, history: Any, hashing: Embedder, name: str = "demo") -> None:
    memory = MemoryIndex.build(Repository(history.path), "main", [hashing])
    words = ["return", "def", "f0", "f3", "late", "=:f3", "other", "x"]
    with open_index(database, DEFAULT_TEAM, name, [hashing]) as index:
        assert index.manifest.paths == memory.manifest.paths
        everything = list(range(memory.manifest.documents))
        assert index.chunks(everything) == memory.chunks(everything)
        stored, built = index.postings(words), memory.postings(words)
        assert {t: (d.tolist(), n.tolist()) for t, (d, n) in stored.items()} == {
            t: (d.tolist(), n.tolist()) for t, (d, n) in built.items()
        }
        found, wanted = (i.nearest(hashing.identity, "return x", 20)[0].tolist() for i in (index, memory))
        assert found == wanted


def test_contents_without_a_retained_version_are_deleted_a_run_after_they_were_marked(
    database: Database, history: Any, update: Refresh, hashing: Embedder, forgetful: None
) -> None:
    history.commit({f"m{n}.py": f"def f{n}(x):\n    return x\n" for n in range(4)})
    update()
    assert prune(database) == Pruned()
    for version in range(3):
        history.commit({"m0.py": f"def other(x):\n    return {version}\n", "m1.py": None})
        update()
        history.commit({"m1.py": f"def late():\n    return {version}\n"})
        update()
    before = counted(database)
    assert prune(database).marked > 0
    assert counted(database) == before
    assert prune_contents(database, DEFAULT_TEAM, readers=NOW).deleted == 0, "not before a day is over"
    done = prune(database)
    assert done.deleted == before["contents"] - counted(database)["contents"] > 0
    left = counted(database)
    assert left["contents"] == left["chunks"] == left["vectors_1"]
    assert left["segments"] < before["segments"]
    assert_whole(database, history, hashing)
    assert prune(database) == Pruned()


def test_a_chunk_without_a_content_is_refused(database: Database) -> None:
    with (
        pytest.raises(psycopg.errors.ForeignKeyViolation, match="content 123456789, which does not exist"),
        database.team(DEFAULT_TEAM) as connection,
    ):
        connection.execute(
            "INSERT INTO chunks (team_id, content_id, chunk, kind, symbol, signature, docstring, start_line, end_line, "
            "text) VALUES (%s, 123456789, 0, 'function', 'f', '', '', 1, 1, 'x')",
            (DEFAULT_TEAM,),
        )


def test_a_removed_source_leaves_no_contents(
    database: Database, history: Any, update: Refresh, hashing: Embedder
) -> None:
    history.commit({"a.py": "def f0(x):\n    return x\n", "b.py": "def f3(): pass\n"})
    update()
    update("copy")
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("DELETE FROM sources WHERE name = 'demo'")
    prune(database)
    assert prune(database).deleted == 0, "the other source has the same contents"
    assert_whole(database, history, hashing, "copy")
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("DELETE FROM sources WHERE name = 'copy'")
    assert prune(database).marked == 2
    assert prune(database).deleted == 2
    assert counted(database) == {"contents": 0, "chunks": 0, "vectors_1": 0, "segments": 0}


@pytest.mark.parametrize("moment", ["stored", "staged"])
def test_a_refresh_that_uses_marked_content_unmarks_it(
    database: Database, history: Any, update: Refresh, hashing: Embedder, forgetful: None, moment: str
) -> None:
    old = "def f0(x):\n    return x\n"
    history.commit({"a.py": old, "b.py": "def f3(): pass\n"})
    update()
    for number in range(3):
        history.commit({"a.py": f"def late(): return {number}\n"})
        update()
    assert prune(database).marked > 0
    history.commit({"a.py": old, "c.py": "def other(): pass\n"})
    done = []

    def between(step: str) -> None:
        if step == moment:
            done.append(prune(database))

    report = update(on_step=between)
    assert done
    assert report.chunks_new == 1
    assert_whole(database, history, hashing)
    prune(database)
    prune(database)
    assert_whole(database, history, hashing)


def test_another_teams_contents_are_left_alone(
    database: Database, history: Any, update: Refresh, hashing: Embedder
) -> None:
    history.commit({"a.py": "def f0(x): pass\n"})
    update()
    other = uuid.uuid4()
    with database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (other,))
    for _ in range(2):
        prune_contents(database, other, grace=NOW, readers=NOW)
    assert_whole(database, history, hashing)


def test_segments_of_many_commits_are_merged_while_readers_continue(
    database: Database, history: Any, update: Refresh, hashing: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "FANOUT", 4)
    history.commit({f"m{n}.py": f"def f{n}(x):\n    return x\n" for n in range(4)})
    update()
    for number in range(1, 16):
        history.commit({f"n{number}.py": f"def late():\n    return x{number}\n", "m0.py": f"other = {number}\n"})
        with contextlib.ExitStack() as stack:
            readers: list[Any] = []

            def look(step: str, stack: contextlib.ExitStack = stack, readers: list[Any] = readers) -> None:
                if step == "visible":
                    readers.append(stack.enter_context(open_index(database, DEFAULT_TEAM, "demo", [hashing])))

            report = update(on_step=look)
            assert set(readers[0].postings(["return", f"x{number}"])) == {"return", f"x{number}"}, "it goes on reading"
            segments_before = readers[0]._files.segment_ids
        with open_index(database, DEFAULT_TEAM, "demo", [hashing]) as after:
            merged = len(after._files.segment_ids) < len(segments_before)
        assert merged == report.index_version.endswith(("#4", "#8", "#12", "#16"))
        assert_whole(database, history, hashing)
    with database.team(DEFAULT_TEAM) as connection:
        row = connection.execute("SELECT count(DISTINCT segment) FROM contents").fetchone()
        assert row
        assert row[0] <= 4
    before_pruning = counted(database)["segments"]
    prune(database)
    assert counted(database)["segments"] < before_pruning
    assert_whole(database, history, hashing)
