from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assets.context.indexing.refresh import refresh
from assets.context.models import model_vectors
from assets.context.models.model_vectors import asked_queries, lacking, note_query
from assets.context.source.sources import add_source
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, catalogue, embed_most
from core.embedding.hashing import HashingEmbedder
from core.embedding.spec import BUILT_IN
from core.teams import DEFAULT_TEAM

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


@pytest.fixture
def indexed(database: Database, history: Any, tmp_path: Path) -> Callable[..., None]:
    """Indexes one file a word in a source, embedded by the given models."""
    history.commit({f"{word}.py": f"def {word}():\n    return '{word}'\n" for word in WORDS})

    def index(name: str = "one", embedders: tuple[Embedder, ...] = ()) -> None:
        add_source(database, DEFAULT_TEAM, name, str(history.path), roots=[tmp_path])
        refresh(database, DEFAULT_TEAM, name, mirrors=tmp_path / "m", roots=[tmp_path], embedders=embedders)

    return index


def test_a_content_without_vectors_is_listed_once_for_all_sources(database: Database, indexed: Any) -> None:
    model = catalogue.register(database, BUILT_IN["hashing"])
    indexed("one")
    indexed("two")
    with database.system() as connection:
        left = lacking(connection, model.identity)
        whole = catalogue.coverage(connection, model.id)
    assert sorted(content.chunks for content in left) == [1] * len(WORDS)
    assert [(c.source, c.chunks, c.covered) for c in whole] == [("one", 8, 0), ("two", 8, 0)]


def test_written_contents_are_not_listed_again_and_an_index_is_covered_once_all_are(
    database: Database, indexed: Any
) -> None:
    model = catalogue.register(database, BUILT_IN["hashing"])
    embedder = HashingEmbedder()
    indexed()
    with database.system() as connection:
        left = lacking(connection, model.identity)
    for part in (left[:3], left[3:]):
        with database.system() as connection:
            assert model_vectors.note_complete(connection, model.id) == 0
        texts = model_vectors.read_texts(database, DEFAULT_TEAM, [content.content_id for content in part])
        for _ in range(2):  # again changes nothing
            found = embed_most(embedder, texts.texts)
            model_vectors.write_vectors(database, model.identity, texts, found)
    with database.system() as connection:
        assert lacking(connection, model.identity) == []
        assert model_vectors.note_complete(connection, model.id) == 1
        assert model_vectors.note_complete(connection, model.id) == 0
    assert model_vectors.nearest_paths(database, DEFAULT_TEAM, "one", embedder, "gamma", 2)[0] == "gamma.py"


def test_recently_queried_sources_come_first(database: Database, indexed: Any, history: Any, tmp_path: Path) -> None:
    model = catalogue.register(database, BUILT_IN["hashing"])
    indexed("one")
    history.commit({f"{word}.py": None for word in WORDS} | {"other.py": "def other():\n    return 1\n"})
    indexed("two")
    with database.system() as connection:
        newest = lacking(connection, model.identity)
    note_query(database, DEFAULT_TEAM, "one", "where is alpha")
    with database.system() as connection:
        asked = lacking(connection, model.identity)
    assert asked[-1] == newest[0]


def test_the_newest_queries_of_a_source_are_kept_each_once(
    database: Database, indexed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_vectors, "KEPT_QUERIES", 3)
    indexed()
    for text in ("a b", "c d", "a b", "e f", "g h", "  ", "x" * 9000, "nul\0 and \ud800"):
        note_query(database, DEFAULT_TEAM, "one", text)
    with database.system() as connection:
        kept = [text for _, _, text in asked_queries(connection, 10)]
    assert kept == ["nul  and ?", "x" * 4000, "g h"]


def test_a_search_continues_without_an_unavailable_model_and_says_so(
    database: Database, indexed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from assets.context.search import search, task_context

    class Gone(HashingEmbedder):
        def embed_query(self, text: str) -> Any:
            raise EmbedderUnavailable("its server is gone")

    indexed("one", (HashingEmbedder(),))
    assert search(database, DEFAULT_TEAM, "one", "gamma", 3, embedders=[Gone()])[0].path == "gamma.py"
    assert "searched one without the model hashing-256" in caplog.text
    assert "its server is gone" in caplog.text
    context = task_context(database, DEFAULT_TEAM, "one", "gamma", embedders=[Gone()])
    assert context.models == (f"{Gone().identity} (did not answer)",)
    context = task_context(database, DEFAULT_TEAM, "one", "gamma", embedders=[HashingEmbedder()])
    assert context.models == (HashingEmbedder().identity,)


def test_fallback_models_are_searched_only_if_no_other_covers_everything(database: Database, indexed: Any) -> None:
    from assets.context.store.postgres import open_index

    old, new = HashingEmbedder(), HashingEmbedder(64)
    indexed("one", (old,))
    with open_index(database, DEFAULT_TEAM, "one", [new], [old]) as found:
        assert found.models == (old.identity,)
    with open_index(database, DEFAULT_TEAM, "one", [old], [new]) as found:
        assert found.models == (old.identity,)
