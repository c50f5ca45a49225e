from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import add_source
from assets.context.store import postgres
from assets.context.store.memory import MemoryIndex
from assets.context.store.postgres import open_index
from assets.context.store.postings import MOST_COUNT, PostingsBuilder, pack, unpack
from assets.context.store.postings_cache import PostingsCache
from assets.context.store.version_files import VersionCache
from core.database import Database
from core.embedding import Embedder
from core.events import DEFAULT_TEAM
from core.git import Repository

counts = st.lists(st.dictionaries(st.text(max_size=4), st.integers(1, 70_000), max_size=6), max_size=8)


def inverted(builder: PostingsBuilder) -> list[tuple[str, list[list[int]]]]:
    return [(term, unpack(pack(slots, counts)).tolist()) for term, slots, counts in builder.arrays()]


@given(first=counts, second=counts)
def test_postings_are_what_was_counted_in_the_order_of_terms(
    first: list[dict[str, int]], second: list[dict[str, int]]
) -> None:
    builder, other = PostingsBuilder(), PostingsBuilder()
    builder.add(first)
    other.add(second)
    builder.merge(PostingsBuilder.from_plain(other.to_plain()))
    chunks = first + second
    assert builder.slots == len(chunks)
    expected = [
        (term, [[slot, min(chunk[term], MOST_COUNT)] for slot, chunk in enumerate(chunks) if term in chunk])
        for term in sorted({term for chunk in chunks for term in chunk})
    ]
    assert inverted(builder) == expected


@pytest.fixture
def update(database: Database, history: Any, tmp_path: Path, hashing: Embedder) -> Callable[[], None]:
    def run() -> None:
        add_source(database, DEFAULT_TEAM, "demo", str(history.path), roots=[tmp_path])
        mirrors = tmp_path / "mirrors"
        refresh(database, DEFAULT_TEAM, "demo", mirrors=mirrors, roots=[tmp_path], embedders=[hashing])

    return run


def assert_alike(database: Database, history: Any) -> None:
    memory = MemoryIndex.build(Repository(history.path), "main")
    with open_index(database, DEFAULT_TEAM, "demo") as index:
        assert index.manifest.paths == memory.manifest.paths
        assert index.manifest.offsets.tolist() == memory.manifest.offsets.tolist()
        assert index.manifest.lengths.tolist() == memory.manifest.lengths.tolist()
        for words in (["return", "def"], ["def", "x", "nothing"]):
            found, wanted = index.postings(words), memory.postings(words)
            assert found.keys() == wanted.keys()
            assert all(np.array_equal(found[term], wanted[term]) for term in found)


@pytest.mark.parametrize("kept", [0, 600, 1 << 20])
def test_a_cache_of_any_size_gives_the_same(
    database: Database, history: Any, update: Callable[[], None], monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    cache = PostingsCache(kept)
    monkeypatch.setattr(postgres, "_postings", cache)
    monkeypatch.setattr(postgres, "_versions", VersionCache(1))
    history.commit({f"m{n}.py": f"def f{n}(x):\n    return x\n" for n in range(6)} | {"copy.py": "def f1(x): x\n"})
    for number in range(3):
        history.commit({"m1.py": f"def g(): return {number}\n", f"n{number}.py": "def f1(x): x\n", "m2.py": "x = 1\n"})
        update()
        for _ in range(2):
            assert_alike(database, history)
        assert cache._bytes <= kept


def test_a_source_that_is_removed_and_added_again_is_read_anew(
    database: Database, history: Any, update: Callable[[], None]
) -> None:
    for number in range(3):
        history.commit({f"m{number}.py": "def f(x): return x\n"})
        update()
        assert_alike(database, history)
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("DELETE FROM sources WHERE name = 'demo'")
    history.commit({"m0.py": None, "other.py": "def other(): pass\n"})
    for number in range(5):
        history.commit({"last.py": f"def last(): return {number}\n"})
        update()
    assert_alike(database, history)
