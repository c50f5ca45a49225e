import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from assets.context.indexing import ingest
from assets.context.indexing.refresh import RefreshReport, refresh
from assets.context.ranking.rank import rank
from assets.context.search import search, status
from assets.context.source.sources import add_source
from assets.context.store.memory import MemoryIndex
from assets.context.store.postgres import open_index
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, Vectors
from core.events import DEFAULT_TEAM
from core.git import Repository

SLUG = 'def slugify(title):\n    """Makes a slug."""\n    return title.lower()\n'
DATES = "def parse_date(text):\n    return text.split('-')\n\n\nclass Calendar:\n    days = 7\n"

Refresh = Callable[..., RefreshReport]


class Watched:
    """A real model that counts what it embeds and can be made unavailable."""

    def __init__(self, model: Embedder) -> None:
        self._model = model
        self.identity = model.identity
        self.dimensions = model.dimensions
        self.max_tokens = model.max_tokens
        self.texts: list[str] = []
        self.gone = False

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        if self.gone:
            raise EmbedderUnavailable("the model server does not answer: start it")
        self.texts += texts
        return self._model.embed_documents(texts)

    def embed_query(self, text: str) -> Vectors:
        if self.gone:
            raise EmbedderUnavailable("the model server does not answer: start it")
        return self._model.embed_query(text)


@pytest.fixture
def update(database: Database, history: Any, tmp_path: Path) -> Refresh:
    def run(*embedders: Embedder, name: str = "demo", **options: Any) -> RefreshReport:
        add_source(database, DEFAULT_TEAM, name, str(history.path), roots=[tmp_path])
        mirrors = tmp_path / "mirrors"
        return refresh(database, DEFAULT_TEAM, name, mirrors=mirrors, roots=[tmp_path], embedders=embedders, **options)

    return run


@pytest.fixture
def first(hashing: Embedder) -> Watched:
    return Watched(hashing)


@pytest.fixture
def second(wordllama: Embedder) -> Watched:
    return Watched(wordllama)


def test_one_refresh_embeds_new_content_with_every_model(
    database: Database, history: Any, update: Refresh, first: Watched, second: Watched
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES})
    report = update(first, second)
    assert set(report.models) == set(status(database, DEFAULT_TEAM, "demo").models) == {first.identity, second.identity}
    assert (len(first.texts), len(second.texts), report.embedded) == (3, 3, 6)
    history.commit({"c.py": "def third(): pass\n"})
    report = update(first, second)
    assert (len(first.texts), len(second.texts), report.embedded) == (4, 4, 2)
    assert len(report.models) == 2


def test_both_indexes_give_the_same_results_for_each_model(
    database: Database, history: Any, update: Refresh, hashing: Embedder, wordllama: Embedder
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES, "copy/a.py": SLUG})
    update(wordllama, hashing)
    memory = MemoryIndex.build(Repository(history.path), "main", [wordllama, hashing])
    with open_index(database, DEFAULT_TEAM, "demo", [wordllama, hashing]) as index:
        assert index.models == memory.models == (wordllama.identity, hashing.identity)
        for model in index.models:
            assert index.coverage(model) == memory.coverage(model) == 1.0
            for text in ("make a slug of a title", "calendar days"):
                stored, built = index.nearest(model, text, 10), memory.nearest(model, text, 10)
                assert stored[0].tolist() == built[0].tolist()
                assert np.allclose(stored[1], built[1], atol=2e-5)
        assert rank(index, "parse a date") == rank(memory, "parse a date")


def test_an_announced_search_runs_before_its_result_is_read(
    database: Database,
    postgres_server: Any,
    database_name: str,
    history: Any,
    update: Refresh,
    hashing: Embedder,
    wordllama: Embedder,
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES})
    update(wordllama, hashing)
    text = "calendar days"
    with open_index(database, DEFAULT_TEAM, "demo", [wordllama, hashing]) as index:
        wanted = {model: index.nearest(model, text, 10)[0].tolist() for model in index.models}
    with open_index(database, DEFAULT_TEAM, "demo", [wordllama, hashing]) as index:
        for model in index.models:
            index.expect(model, text, 10)
        deadline = time.monotonic() + 300
        while not (done := _last_statements(postgres_server.url(database_name, owner=True))) or not any(
            "<#>" in statement for statement in done
        ):
            assert time.monotonic() < deadline, f"no search was sent: {done}"
        assert index.postings(["calendar"]), "other reads go on beside it"
        assert {model: index.nearest(model, text, 10)[0].tolist() for model in index.models} == wanted


def _last_statements(owner_url: str) -> list[str]:
    """The last statements of this database's other connections."""
    with psycopg.connect(owner_url) as connection:
        rows = connection.execute(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND state IN ('idle in transaction', 'active')"
        ).fetchall()
    return [row[0] for row in rows]


def test_a_query_is_answered_without_an_unavailable_model(
    database: Database, history: Any, update: Refresh, first: Watched, second: Watched
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES})
    update(first, second)
    second.gone = True
    with open_index(database, DEFAULT_TEAM, "demo", [first, second]) as index:
        for model in index.models:
            index.expect(model, "calendar days", 10)
        assert len(index.nearest(first.identity, "calendar days", 10)[0])
        with pytest.raises(EmbedderUnavailable, match="start it"):
            index.nearest(second.identity, "calendar days", 10)
        assert "vectors" in {reason.signal for reason in rank(index, "calendar days")[0].why}


def test_an_added_model_embeds_existing_content_once_and_creates_no_version(
    database: Database, history: Any, update: Refresh, first: Watched, second: Watched
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES})
    assert update().models == ()
    assert (update(first).embedded, len(first.texts)) == (3, 3)
    with open_index(database, DEFAULT_TEAM, "demo", [second]) as index:
        assert index.models == (), "a query is never compared with another model's vectors"
        with pytest.raises(KeyError):
            index.nearest(second.identity, "slug", 5)
    added = update(second)
    assert (added.changed, added.embedded, added.index_version) == (False, 3, "demo#1")
    again = update(first, second)
    assert (again.embedded, len(again.models)) == (0, 2)


def test_a_model_that_was_left_out_for_a_commit_gets_the_missing_vectors(
    database: Database, history: Any, update: Refresh, first: Watched, second: Watched
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES})
    update(first, second)
    history.commit({"c.py": "def third(): pass\n"})
    assert update(first).models == (first.identity,)
    with open_index(database, DEFAULT_TEAM, "demo", [first, second]) as index:
        assert index.models == (first.identity, second.identity)
        assert (index.coverage(first.identity), index.coverage(second.identity)) == (1.0, 0.75)
    report = update(first, second)
    assert (report.embedded, len(second.texts), len(report.models)) == (1, 4, 2)


def test_content_is_found_as_soon_as_one_model_has_embedded_it(
    database: Database, history: Any, update: Refresh, first: Watched, second: Watched
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES})
    seen = []

    def look(step: str) -> None:
        if step == "visible":
            seen.append(len(second.texts))
            with open_index(database, DEFAULT_TEAM, "demo", [first, second]) as index:
                assert index.models == (first.identity,)
                assert len(index.nearest(first.identity, "slug", 5)[0]) == 3

    update(first, second, on_step=look)
    assert seen == [0]


@pytest.mark.parametrize("gone", [0, 1])
def test_an_unavailable_model_is_reported_and_gets_its_vectors_later(
    database: Database, history: Any, update: Refresh, first: Watched, second: Watched, gone: int
) -> None:
    models = [first, second]
    history.commit({"a.py": SLUG, "b.py": DATES})
    models[gone].gone = True
    report = update(*models)
    assert report.changed
    assert report.models == (models[1 - gone].identity,)
    assert report.unavailable == ((models[gone].identity, "the model server does not answer: start it"),)
    assert search(database, DEFAULT_TEAM, "demo", "slugify", embedders=models)[0].symbol == "slugify"
    models[gone].gone = False
    again = update(*models)
    assert (again.embedded, len(again.models), again.unavailable) == (3, 2, ())


def test_without_any_available_model_the_old_version_stays(
    database: Database, history: Any, update: Refresh, first: Watched, second: Watched
) -> None:
    history.commit({"a.py": SLUG})
    update(first, second)
    history.commit({"a.py": DATES})
    first.gone = second.gone = True
    with pytest.raises(EmbedderUnavailable, match=f"{second.identity}: the model server does not answer"):
        update(first, second)
    assert status(database, DEFAULT_TEAM, "demo").index_version == "demo#1"


class Stop(Exception):
    pass


def test_an_interrupted_fill_resumes_where_it_stopped(
    database: Database, history: Any, update: Refresh, first: Watched, second: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "FILL_CONTENTS", 2)
    history.commit({f"m{n}.py": f"def f{n}(): pass\n" for n in range(6)})

    def stop(step: str) -> None:
        if step == "embedded" and len(second.texts) == 4:
            raise Stop

    with pytest.raises(Stop):
        update(first, second, on_step=stop)
    with open_index(database, DEFAULT_TEAM, "demo", [first, second]) as index:
        assert index.coverage(second.identity) == pytest.approx(4 / 6)
    report = update(first, second)
    assert (report.embedded, len(second.texts), len(report.models)) == (2, 6, 2)
