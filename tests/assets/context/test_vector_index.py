import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import add_source
from assets.context.store import vector_index, vector_search
from assets.context.store.postgres import open_index
from assets.context.store.vector_index import build_vector_indexes
from assets.context.store.vector_search import VectorSearch
from assets.context.store.vector_table import VectorTable
from core.database import Database
from core.database.embedded import EmbeddedServer
from core.embedding import Embedder
from core.embedding.hashing import HashingEmbedder
from core.events import DEFAULT_TEAM

FILES = 60


@pytest.fixture
def owner_url(postgres_server: EmbeddedServer, database_name: str) -> str:
    return postgres_server.url(database_name, owner=True)


@pytest.fixture
def update(database: Database, history: Any, tmp_path: Path, hashing: Embedder) -> Callable[[], Any]:
    add_source(database, DEFAULT_TEAM, "demo", str(history.path), roots=[tmp_path])

    def run() -> Any:
        mirrors = tmp_path / "mirrors"
        return refresh(database, DEFAULT_TEAM, "demo", mirrors=mirrors, roots=[tmp_path], embedders=[hashing])

    return run


@pytest.fixture
def filled(history: Any, update: Callable[[], Any]) -> None:
    history.commit({f"m{n}.py": f"def name_{n}_{n % 7}(x):\n    return x + {n}\n" for n in range(FILES)})
    update()


def indexes(owner_url: str) -> list[tuple[str, bool]]:
    with psycopg.connect(owner_url) as connection:
        rows = connection.execute(
            "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indpred IS NOT NULL AND c.relname LIKE 'vectors%' ORDER BY 1"
        ).fetchall()
    return [(row[0], row[1]) for row in rows]


def nearest(database: Database, hashing: Embedder, text: str) -> tuple[list[int], list[float]]:
    with open_index(database, DEFAULT_TEAM, "demo", [hashing]) as index:
        documents, similarity = index.nearest(hashing.identity, text, 10)
    return documents.tolist(), similarity.tolist()


def test_the_index_finds_what_comparing_each_vector_finds(
    database: Database,
    owner_url: str,
    history: Any,
    update: Callable[[], Any],
    filled: None,
    hashing: Embedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = ("name 3 3", "return x + 41", "name_17_3")
    exact = [nearest(database, hashing, text) for text in texts]
    built = build_vector_indexes(database, owner_url, least=10)
    assert [(one.model, one.vectors) for one in built] == [(hashing.identity, FILES)]
    monkeypatch.setattr(vector_search, "EXACT_MOST", 5)
    used: list[str] = []
    look = VectorSearch._send

    def noted(search: VectorSearch, statement: str, *arguments: Any) -> Any:
        used.append(statement)
        return look(search, statement, *arguments)

    monkeypatch.setattr(VectorSearch, "_send", noted)
    assert [nearest(database, hashing, text) for text in texts] == exact
    assert used == [vector_search._INDEX] * len(texts)
    history.commit({"late.py": "def name_3_3(x):\n    return x + 3000\n", "m3.py": None})
    update()
    documents, _ = nearest(database, hashing, "name_3_3")
    with open_index(database, DEFAULT_TEAM, "demo", [hashing]) as index:
        paths = [index.manifest.paths[index.manifest.file_of[document]] for document in documents]
    assert "late.py" in paths, "what came after the index is found"
    assert "m3.py" not in paths, "what this version does not have is not"


def test_without_an_index_a_large_source_is_scanned_whole(
    database: Database, filled: None, hashing: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "return x + 41"
    exact = nearest(database, hashing, text)
    monkeypatch.setattr(vector_search, "EXACT_MOST", 5)
    monkeypatch.setattr(vector_search, "EF_SEARCH", 5)
    assert nearest(database, hashing, text) == exact
    monkeypatch.setattr(vector_search, "_MOST_CANDIDATES", 0)
    assert nearest(database, hashing, text) == exact


def test_for_a_query_nearer_to_another_source_vectors_are_compared_one_by_one(
    database: Database,
    owner_url: str,
    filled: None,
    hashing: Embedder,
    new_history: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = new_history(tmp_path / "other.git")
    other.commit({f"a{n}.py": f"def apple_tree_{n}():\n    return 'apple'\n" for n in range(4 * FILES)})
    add_source(database, DEFAULT_TEAM, "other", str(other.path), roots=[tmp_path])
    refresh(database, DEFAULT_TEAM, "other", mirrors=tmp_path / "mirrors", roots=[tmp_path], embedders=[hashing])
    build_vector_indexes(database, owner_url, least=10)
    looked: list[int] = []
    look = VectorSearch._send

    def noted(search: VectorSearch, statement: str, contents: Any, limit: int, enough: int) -> Any:
        looked.append(limit)
        return look(search, statement, contents, limit, enough)

    def found(text: str) -> list[tuple[int, int]]:
        with open_index(database, DEFAULT_TEAM, "demo", [hashing]) as index:
            table = VectorTable.find(index._connection, hashing.identity)
            assert table is not None
            search = VectorSearch(index._connection, table, hashing.embed_query(text), *index._files.contents, 5)
            return [hit[:2] for hit in search.hits()]

    exact = found("apple tree x")
    monkeypatch.setattr(VectorSearch, "_send", noted)
    monkeypatch.setattr(vector_search, "EXACT_MOST", 5)
    monkeypatch.setattr(vector_search, "EF_SEARCH", 40)
    assert found("apple tree x") == exact
    assert len(looked) == 1
    monkeypatch.setattr(vector_search, "_COMPARISONS", 0)
    assert found("apple tree x") == exact
    assert looked[2] > looked[1], "else it looks at more"


def test_queries_use_the_index(database: Database, owner_url: str, filled: None, hashing: Embedder) -> None:
    build_vector_indexes(database, owner_url, least=10)
    with database.team(DEFAULT_TEAM) as connection:
        table = VectorTable.find(connection, hashing.identity)
        assert table is not None
        assert table.indexed_to > 0
        connection.execute(vector_search._PREPARE, {"effort": "100"})
        plan = connection.execute(
            f"EXPLAIN SELECT 1 FROM vectors_1 WHERE content_id <= {table.indexed_to} "  # noqa: S608
            "ORDER BY embedding::halfvec(256) <#> %b::halfvec(256) LIMIT 5",
            (np.ones(256),),
        ).fetchall()
    assert f"vectors_1_to_{table.indexed_to}" in str(plan)


def test_an_index_is_replaced_when_enough_vectors_were_added(
    database: Database, owner_url: str, history: Any, update: Callable[[], Any], filled: None
) -> None:
    assert build_vector_indexes(database, owner_url, least=FILES) == [], "a small table needs none"
    assert indexes(owner_url) == []
    build_vector_indexes(database, owner_url, least=10)
    (first, _), *_ = indexes(owner_url)
    assert build_vector_indexes(database, owner_url, least=10) == []
    history.commit({f"n{n}.py": f"def other_{n}(): pass\n" for n in range(11)})
    update()
    assert build_vector_indexes(database, owner_url, least=10)[0].vectors == FILES + 11
    ((second, valid),) = indexes(owner_url)
    assert (second != first, valid) == (True, True)


BUILDER = """
import sys
from assets.context.store.vector_index import build_vector_indexes
from core.database import Database
print("building", flush=True)
build_vector_indexes(Database(sys.argv[1]), sys.argv[2], least=10)
"""


def test_an_index_left_by_a_killed_build_is_dropped_and_built_again(
    database: Database, database_url: str, owner_url: str, filled: None
) -> None:
    with psycopg.connect(owner_url) as holder:
        holder.execute("SET search_path = penstock, public")
        # A writer that has not ended yet: the build waits for it after it has made its entry.
        holder.execute("LOCK TABLE vectors_1 IN ROW EXCLUSIVE MODE")
        child = subprocess.Popen([sys.executable, "-c", BUILDER, database_url, owner_url], stdout=subprocess.PIPE)
        deadline = time.monotonic() + 300
        while not indexes(owner_url) and time.monotonic() < deadline:
            time.sleep(0.02)
        with psycopg.connect(owner_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%'"
            )
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=600)
        holder.rollback()
    ((left, valid),) = indexes(owner_url)
    assert not valid
    with database.team(DEFAULT_TEAM) as connection:
        row = connection.execute("SELECT identity FROM embedding_models").fetchone()
        table = VectorTable.find(connection, row[0] if row else "")
        assert table is not None
        assert table.indexed_to == 0, "an index that is not whole is not searched"
    build_vector_indexes(database, owner_url, least=10)
    assert indexes(owner_url) == [(left, True)]


def test_a_refresh_writes_while_an_index_is_built(
    database: Database, owner_url: str, history: Any, update: Callable[[], Any], filled: None
) -> None:
    with psycopg.connect(owner_url) as holder:
        holder.execute("SET search_path = penstock, public")
        holder.execute("LOCK TABLE vectors_1 IN ROW EXCLUSIVE MODE")  # keeps the build from ending
        builder = threading.Thread(target=build_vector_indexes, args=(database, owner_url), kwargs={"least": 10})
        builder.start()
        deadline = time.monotonic() + 300
        while not indexes(owner_url) and time.monotonic() < deadline:
            time.sleep(0.02)
        history.commit({"late.py": "def late(): pass\n"})
        assert update().chunks_new == 1
        holder.rollback()
    builder.join()
    assert indexes(owner_url)[0][1]


def test_a_table_that_is_locked_too_long_is_left_for_the_next_run(
    database: Database, owner_url: str, filled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_index, "LOCK_WAIT", "200ms")
    with psycopg.connect(owner_url) as holder:
        holder.execute("SET search_path = penstock, public")
        holder.execute("LOCK TABLE vectors_1 IN ROW EXCLUSIVE MODE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            build_vector_indexes(database, owner_url, least=10)
    assert len(build_vector_indexes(database, owner_url, least=10)) == 1


def test_the_runtime_login_cannot_build(database: Database, database_url: str, filled: None) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        build_vector_indexes(database, database_url, least=10)


def test_a_model_as_wide_as_half_precision_allows_has_an_index(
    database: Database, owner_url: str, history: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = HashingEmbedder(4000)
    history.commit({f"m{n}.py": f"def name_{n}_{n % 7}(x):\n    return x + {n}\n" for n in range(FILES)})
    add_source(database, DEFAULT_TEAM, "demo", str(history.path), roots=[tmp_path])
    refresh(database, DEFAULT_TEAM, "demo", mirrors=tmp_path / "mirrors", roots=[tmp_path], embedders=[wide])
    exact = nearest(database, wide, "name_17_3")
    assert [one.vectors for one in build_vector_indexes(database, owner_url, least=10)] == [FILES]
    monkeypatch.setattr(vector_search, "EXACT_MOST", 5)
    assert nearest(database, wide, "name_17_3") == exact
