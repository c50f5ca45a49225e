"""The quality gate, and the suites that must agree with it, on versions broken in every way."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection, sql

from assets.context.indexing import refresh as refresh_module
from assets.context.indexing.quality import CHECKS, Gate, GateFailed, Staged, check_staged, last_gate
from assets.context.indexing.quality_sample import Sample, take_sample
from assets.context.indexing.refresh import RefreshReport
from assets.context.search import search, status
from assets.context.source.sources import add_source
from core.database import Database
from core.embedding import Embedder
from core.events import DEFAULT_TEAM

Refresh = Callable[..., RefreshReport]

SLUG = 'def slugify(title):\n    """Makes a slug."""\n    return title.lower()\n'


@pytest.fixture
def refresh(database: Database, history: Any, tmp_path: Path, hashing: Embedder) -> Refresh:
    def run(**options: Any) -> RefreshReport:
        add_source(database, DEFAULT_TEAM, "demo", str(history.path), roots=[tmp_path])
        options.setdefault("embedders", [hashing])
        return refresh_module.refresh(
            database, DEFAULT_TEAM, "demo", mirrors=tmp_path / "mirrors", roots=[tmp_path], **options
        )

    return run


def _vectors(connection: Connection[Any], statement: str) -> None:
    row = connection.execute("SELECT table_name FROM embedding_models").fetchone()
    assert row is not None
    connection.execute(sql.SQL(statement).format(sql.Identifier(row[0])))


def _nothing(connection: Connection[Any]) -> None:
    pass


def _lose_chunks(connection: Connection[Any]) -> None:
    connection.execute("DELETE FROM chunks WHERE content_id = (SELECT max(content_id) FROM chunks)")


def _lose_vectors(connection: Connection[Any]) -> None:
    _vectors(connection, "DELETE FROM {0} WHERE content_id = (SELECT max(content_id) FROM {0})")


def _zero_vectors(connection: Connection[Any]) -> None:
    _vectors(connection, "UPDATE {0} SET embedding = array_fill(0::real, ARRAY[vector_dims(embedding)])::vector")


def _one_zero_vector(connection: Connection[Any]) -> None:
    _vectors(
        connection,
        "UPDATE {0} SET embedding = array_fill(0::real, ARRAY[vector_dims(embedding)])::vector "
        "WHERE content_id = (SELECT max(content_id) FROM {0})",
    )


def _long_vectors(connection: Connection[Any]) -> None:
    _vectors(connection, "UPDATE {0} SET embedding = embedding + embedding")


def _lose_a_path(connection: Connection[Any], path: str = "m1.py") -> None:
    connection.execute("DELETE FROM source_files WHERE path = %s", (path,))


def _hold_a_path_twice(connection: Connection[Any], path: str = "m1.py", since: int = 1) -> None:
    connection.execute(
        "INSERT INTO source_files (team_id, source, path, since, mode, blob, skipped) "
        "SELECT team_id, source, path, %s, mode, blob, 'again' FROM source_files WHERE path = %s",
        (since, path),
    )


def _lose_an_unchanged_path(connection: Connection[Any]) -> None:
    _lose_a_path(connection, "keep.py")


def _hold_an_unchanged_path_twice(connection: Connection[Any]) -> None:
    _hold_a_path_twice(connection, "keep.py", since=2)


def _keep_a_removed_path(connection: Connection[Any]) -> None:
    connection.execute("UPDATE source_files SET until = NULL WHERE path = 'gone.py'")


BREAKAGES: list[tuple[Callable[[Connection[Any]], None], set[str]]] = [
    (_nothing, set()),
    (_lose_chunks, {"no_orphan_chunks"}),
    (_lose_vectors, {"vectors_are_sound"}),
    (_zero_vectors, {"vectors_are_sound"}),
    (_one_zero_vector, {"vectors_are_sound"}),
    (_long_vectors, {"vectors_are_sound"}),
    (_lose_a_path, {"counts_agree_with_git"}),
    (_hold_a_path_twice, {"no_duplicate_keys", "counts_agree_with_git"}),
    (_lose_an_unchanged_path, {"counts_agree_with_git"}),
    (_hold_an_unchanged_path_twice, {"no_duplicate_keys", "counts_agree_with_git"}),
    (_keep_a_removed_path, {"counts_agree_with_git"}),
]


@pytest.mark.parametrize(("breakage", "wrong"), BREAKAGES, ids=lambda value: getattr(value, "__name__", "").strip("_"))
def test_a_broken_version_is_discarded_with_the_reason_and_the_next_refresh_repairs_it(
    database: Database,
    history: Any,
    refresh: Refresh,
    hashing: Embedder,
    breakage: Callable[[Connection[Any]], None],
    wrong: set[str],
) -> None:
    history.commit({"keep.py": SLUG, "gone.py": "x = 1\n"})
    first = refresh()
    second = history.commit({f"m{n}.py": f"def f{n}():\n    return {n}\n" for n in range(6)} | {"gone.py": None})

    def breaks(step: str) -> None:
        if step == "staged":
            with database.team(DEFAULT_TEAM) as connection:
                breakage(connection)

    if not wrong:
        refresh(on_step=breaks)
    else:
        with pytest.raises(GateFailed, match="stays searchable") as raised:
            refresh(on_step=breaks)
        failed = {check.name for check in raised.value.gate.checks if not check.passed}
        assert failed == wrong
        assert status(database, DEFAULT_TEAM, "demo").commit == first.commit
        with database.team(DEFAULT_TEAM) as connection:
            gate = last_gate(connection, DEFAULT_TEAM, "demo")
            assert gate is not None
            assert {check.name for check in gate.checks if not check.passed} == wrong
            staged = connection.execute("SELECT count(*) FROM source_files WHERE since > 1").fetchone()
            assert staged == (0,), "the staged version is still there"
        report = refresh()
        assert (report.commit, report.files) == (second, 7)
    places = search(database, DEFAULT_TEAM, "demo", "f3", embedders=[hashing])
    assert places[0].path == "m3.py"
    with database.team(DEFAULT_TEAM) as connection:
        gate = last_gate(connection, DEFAULT_TEAM, "demo")
        assert gate is not None
        assert gate.passed
        assert [check.name for check in gate.checks] == list(CHECKS)


def test_a_model_that_is_not_in_use_covers_nothing(database: Database, history: Any, refresh: Refresh) -> None:
    history.commit({"a.py": SLUG})
    refresh()
    with database.team(DEFAULT_TEAM) as connection:
        row = connection.execute("SELECT version, commit FROM index_versions").fetchone()
        assert row is not None
        staged = Staged(DEFAULT_TEAM, "demo", row[0], row[1], [], ["a.py"], [], {"a.py"})
        assert check_staged(connection, staged).passed
    with database.system() as connection:
        connection.execute("UPDATE embedding_models SET state = 'retired'")
    with database.team(DEFAULT_TEAM) as connection:
        failed = [check for check in check_staged(connection, staged).checks if not check.passed]
    assert [check.name for check in failed] == ["models_are_known"]
    assert "retired" in failed[0].detail


def test_an_additional_model_with_broken_vectors_covers_nothing_and_the_reason_is_reported(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder, wordllama: Embedder
) -> None:
    class Broken:
        identity, dimensions, max_tokens = wordllama.identity, wordllama.dimensions, wordllama.max_tokens

        def embed_documents(self, texts: Any) -> Any:
            return wordllama.embed_documents(texts) * 0

        def embed_query(self, text: str) -> Any:
            return wordllama.embed_query(text)

    history.commit({f"m{n}.py": f"def f{n}():\n    return {n}\n" for n in range(6)})
    report = refresh(embedders=[hashing, Broken()])
    assert report.models == (hashing.identity,)
    assert "6 of 6 chunks with words have a zero vector" in dict(report.unavailable)[wordllama.identity]
    assert status(database, DEFAULT_TEAM, "demo").models == (hashing.identity,)
    with pytest.raises(GateFailed, match="zero vector"):
        history.commit({"n.py": "def g():\n    return 1\n"})  # its own zero vector would be allowed
        refresh(embedders=[Broken()])


class Mute:
    """Gives a zero vector for texts that contain a certain word, like a model that does not know a script."""

    def __init__(self, model: Embedder) -> None:
        self.identity, self.dimensions, self.max_tokens = model.identity, model.dimensions, model.max_tokens
        self._model = model
        self.asked: list[str] = []

    def embed_documents(self, texts: Any) -> Any:
        self.asked += texts
        vectors = self._model.embed_documents(texts)
        vectors[["unspeakable" in text for text in texts]] = 0
        return vectors

    def embed_query(self, text: str) -> Any:
        return self._model.embed_query(text)


def test_a_zero_vector_is_accepted_if_its_model_gives_it_again(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder, wordllama: Embedder
) -> None:
    odd = "def unspeakable():\n    return 1\n"
    history.commit({"odd.py": odd, "a.py": SLUG})
    first, further = Mute(hashing), Mute(wordllama)
    report = refresh(embedders=[first, further])
    assert set(report.models) == {hashing.identity, wordllama.identity}
    for model in (first, further):
        assert len(model.asked) == 3, "only the chunk in question is embedded twice"
        assert "unspeakable" in model.asked[2]
    history.commit({"b.py": "def f():\n    return 1\n"})
    refresh(embedders=[first])
    history.commit({"copy/odd.py": odd})
    with pytest.raises(GateFailed, match=r"1 of 1 chunks have a zero vector that .* did not give"):
        refresh(embedders=[hashing])  # which knows the word, so that something else has made it zero
    assert refresh(embedders=[hashing]).changed
    assert last(database).passed


def last(database: Database) -> Gate:
    with database.team(DEFAULT_TEAM) as connection:
        gate = last_gate(connection, DEFAULT_TEAM, "demo")
    assert gate is not None
    return gate


def test_texts_without_words_may_have_zero_vectors(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    history.commit({"a.py": SLUG, "empty.py": "", "signs.txt": "++ -- !!\n", "other.txt": "({})\n" * 30})
    assert refresh().files == 4
    with database.team(DEFAULT_TEAM) as connection:
        gate = last_gate(connection, DEFAULT_TEAM, "demo")
    assert gate is not None
    assert gate.passed


def test_the_last_gates_are_stored(
    database: Database, history: Any, refresh: Refresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.context.indexing.quality.KEPT_GATES", 3)
    for number in range(5):
        history.commit({"a.py": f"x = {number}\n"})
        refresh()
    with database.team(DEFAULT_TEAM) as connection:
        rows = connection.execute("SELECT version FROM index_gates ORDER BY id").fetchall()
    assert rows == [(3,), (4,), (5,)]


def test_the_gate_needs_no_great_expectations() -> None:
    import subprocess
    import sys

    code = (
        "import sys, assets.context.indexing.refresh, assets.context.assets\n"
        "sys.exit(any(m in sys.modules for m in ('great_expectations', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_suites_agree_with_the_gate_and_their_pages_are_written(
    database: Database, history: Any, refresh: Refresh, tmp_path: Path
) -> None:
    from assets.context.indexing.quality_suites import run_suites

    history.commit({"keep.py": SLUG, "gone.py": "x = 1\n"})
    refresh()
    taken: list[Sample] = []

    def look(connection: Connection[Any], staged: Staged, gate: Gate) -> None:
        taken.append(take_sample(connection, staged, gate))

    for number, breakage in enumerate(
        (_nothing, _zero_vectors, _one_zero_vector, _lose_an_unchanged_path, _hold_an_unchanged_path_twice)
    ):
        history.commit(
            {f"m{n}.py": f"def f{n}():\n    return {number}\n" for n in range(6)} | {"gone.py": None}, str(uuid.uuid4())
        )

        def breaks(step: str, breakage: Callable[[Connection[Any]], None] = breakage) -> None:
            if step == "staged":
                with database.team(DEFAULT_TEAM) as connection:
                    breakage(connection)

        try:
            refresh(on_step=breaks, look=look)
        except GateFailed:
            refresh()
        docs = run_suites(taken[-1], tmp_path / "docs")
        by_gate = {check.name: check.passed for check in taken[-1].gate.checks}
        assert {result.name: result.passed for result in docs.results} == by_gate, breakage.__name__
        assert all(result.expectations for result in docs.results)
        page = docs.index.read_text()
        assert "vectors_are_sound" in page
    assert len(list((tmp_path / "docs").iterdir())) == 5
