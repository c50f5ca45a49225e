from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.context.indexing.refresh import refresh
from assets.context.ranking.history import PastCommit, read_history
from assets.context.ranking.index import Manifest
from assets.context.ranking.rank import WEIGHTS, build_task_context, rank, rank_files
from assets.context.ranking.signals import ALL, FOLLOWERS
from assets.context.ranking.signals.paths import match_files
from assets.context.ranking.signals.roles import role_of
from assets.context.search import search, search_files, task_context
from assets.context.source.sources import add_source
from assets.context.store.memory import MemoryIndex
from assets.context.store.postgres import open_index
from core.database import Database
from core.embedding import Embedder
from core.events import DEFAULT_TEAM
from core.git import Repository

FILES = {
    "src/shop/cart.py": """\
'''The shopping cart.'''

class Cart:
    def add_item(self, item, quantity):
        if quantity < 1:
            raise ValueError(f"quantity of {item.name} must be positive, not {quantity}")
        self.items.append(item)

    def total_price(self):
        return sum(item.price for item in self.items)
""",
    "src/shop/discount.py": """\
def apply_discount(price, percent):
    return price - price * percent / 100


def round_price(price):
    return round(price, 2)
""",
    "src/shop/dates.py": """\
def parse_date(text):
    year, month, day = text.split('-')
    return int(year), int(month), int(day)


def is_leap_year(year):
    return year % 4 == 0
""",
    "src/shop/http_client.py": """\
class HTTPClient:
    retries = 3

    def send_request(self, url):
        return self.pool.urlopen(url, timeout=self.timeout)
""",
    "src/shop/__init__.py": "",
    "tests/test_cart.py": """\
def test_total_price_of_a_cart():
    cart = Cart()
    cart.add_item(item, 2)
    assert cart.total_price() == 4
""",
    "README.md": "# Shop\n\nThe cart has a total price, dates are parsed and discounts applied.\n",
}

QUERIES = {
    "The total price of a cart ignores quantities": "Cart.total_price",
    "1900 is not a leap year": "is_leap_year",
    "`apply_discount` gives a negative price": "apply_discount",
    "HTTPClient ignores the timeout of a request": "HTTPClient",
    'Error says "quantity of apple must be positive, not 3"': "Cart.add_item",
    'Traceback:\n  File "/app/src/shop/dates.py", line 2, in parse_date\nValueError: x': "parse_date",
    "Something is off in shop.discount.round_price": "round_price",
    "src/shop/discount.py:6: AssertionError": "round_price",
}


@pytest.fixture
def memory(history: Any, wordllama: Embedder) -> MemoryIndex:
    pair = ("src/shop/cart.py", "src/shop/discount.py")
    history.commit({**FILES, **{path: FILES[path] + "# older\n" for path in pair}}, "A shop")
    history.commit({path: FILES[path] + "# newer\n" for path in pair}, "Take the discount off the total price")
    history.commit({path: FILES[path] for path in pair}, "Round the total price of a cart")
    return MemoryIndex.build(Repository(history.path), "main", [wordllama], source="shop")


@pytest.fixture
def stored(database: Database, history: Any, memory: MemoryIndex, wordllama: Embedder, tmp_path: Path) -> Iterator[str]:
    add_source(database, DEFAULT_TEAM, "shop", str(history.path), roots=[tmp_path])
    refresh(database, DEFAULT_TEAM, "shop", mirrors=tmp_path / "mirrors", roots=[tmp_path], embedders=[wordllama])
    yield "shop"


@pytest.mark.parametrize(("query", "symbol"), QUERIES.items())
def test_the_right_place_comes_first(memory: MemoryIndex, query: str, symbol: str) -> None:
    best = rank(memory, query, 3)[0]
    assert best.symbol == symbol, [(place.path, place.symbol, place.score) for place in rank(memory, query, 3)]


def test_postgres_and_memory_rank_alike(
    database: Database, stored: str, memory: MemoryIndex, wordllama: Embedder
) -> None:
    for query in QUERIES:
        assert search(database, DEFAULT_TEAM, stored, query, 20, embedders=[wordllama]) == rank(memory, query, 20)
        with open_index(database, DEFAULT_TEAM, stored, []) as index:
            assert rank(index, query, 20) == rank(memory, query, 20, off={"vectors"})


def test_the_methods_of_a_named_class_are_found_with_it(memory: MemoryIndex) -> None:
    found = [place.symbol for place in rank(memory, "Something is wrong with `HTTPClient`", 2)]
    assert found == ["HTTPClient", "HTTPClient.send_request"]


def test_a_large_index_in_memory_embeds_only_what_shares_words_with_the_text(
    memory: MemoryIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "most_embedded", 2)
    documents, similarity = memory.nearest(memory.models[0], "parse a date", 10)
    symbols = [chunk.symbol for chunk in memory.chunks(documents.tolist())]
    assert "parse_date" in symbols
    assert len(symbols) == 2
    assert similarity[0] >= similarity[1]


def test_every_reason_names_its_signal_and_contributions_add_up(memory: MemoryIndex) -> None:
    seen = set()
    for query in QUERIES:
        for place in rank(memory, query, 30):
            assert sum(reason.contribution for reason in place.why) == pytest.approx(place.score, abs=1e-3)
            assert all(reason.detail for reason in place.why), place
            seen |= {reason.signal for reason in place.why}
    assert seen == {*ALL, *FOLLOWERS, "spread"}


@pytest.mark.parametrize("signal", [*ALL, *FOLLOWERS])
def test_each_signal_can_be_switched_off(memory: MemoryIndex, signal: str) -> None:
    used = {
        reason.signal for query in QUERIES for place in rank(memory, query, 30, off={signal}) for reason in place.why
    }
    assert used == {*ALL, *FOLLOWERS, "spread"} - {signal}


def test_a_signal_that_does_not_exist_cannot_be_left_out(memory: MemoryIndex) -> None:
    with pytest.raises(ValueError, match="'vektors' is not a signal that can be left out: choose from frames, paths"):
        rank(memory, "parse a date", off=["vektors"])


def test_every_signal_has_a_weight() -> None:
    assert set(WEIGHTS) == set(ALL) | set(FOLLOWERS)


def test_tests_and_documents_rank_below_sources(memory: MemoryIndex) -> None:
    found = [place.path for place in rank(memory, "total price of a cart", 20)]
    assert found[0] == "src/shop/cart.py"
    assert "tests/test_cart.py" in found
    assert "README.md" in found


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("README.md says wrong things about dates", "README.md"),
        ("tests/test_cart.py forgets the total price of a cart", "tests/test_cart.py"),
        ("The total price of a cart is wrong\n\nChanges to README.md and tests/test_cart.py:", "src/shop/cart.py"),
    ],
)
def test_a_document_or_test_comes_first_if_the_first_line_names_it(memory: MemoryIndex, query: str, path: str) -> None:
    assert rank(memory, query, 1)[0].path == path


def test_a_long_file_leaves_room_for_others(history: Any) -> None:
    lines = "".join(f"    cart.total_price({n})\n" for n in range(3))
    history.commit(
        {**FILES, "src/shop/prices.py": "".join(f"def total_price_{n}(cart):\n{lines}\n\n" for n in range(12))}
    )
    index = MemoryIndex.build(Repository(history.path), "main")
    found = [place.path for place in rank(index, "The total price of a cart is wrong", 10)]
    assert found[:2] == ["src/shop/prices.py"] * 2
    assert "src/shop/cart.py" in found


def test_files_are_ranked_once_each_by_their_best_place(
    database: Database, stored: str, memory: MemoryIndex, wordllama: Embedder
) -> None:
    for query in QUERIES:
        files = rank_files(memory, query, 50)
        assert sorted(place.path for place in files) == sorted(path for path, text in FILES.items() if text)
        assert [place.score for place in files] == sorted((place.score for place in files), reverse=True)
        first = {place.path: place for place in reversed(rank(memory, query, 50))}
        assert {place.path: place for place in files} == first
        assert files == search_files(database, DEFAULT_TEAM, stored, query, 50, embedders=[wordllama])
        assert rank_files(memory, query, 2) == files[:2]


def test_a_text_without_useful_words_still_gives_places(memory: MemoryIndex) -> None:
    for query in ("", "\0", "the of and", "zzzqqq"):
        assert len(rank(memory, query, 5)) == 5
    assert rank(memory, "cart", 0) == []


def test_a_task_context_names_source_commit_version_and_model(
    database: Database, stored: str, memory: MemoryIndex, wordllama: Embedder
) -> None:
    context = task_context(database, DEFAULT_TEAM, stored, "cart total price", 5, embedders=[wordllama])
    assert (context.source, context.index_version, context.models) == ("shop", "shop#1", (wordllama.identity,))
    assert context.commit == memory.commit
    assert len(context.locations) == 5
    built = build_task_context(memory, "cart total price", 5)
    assert built.locations == context.locations
    assert built.index_version == f"memory:{memory.commit[:12]}"


def test_recent_changes_lift_a_file_a_little(history: Any, wordllama: Embedder) -> None:
    history.commit({"a.py": "def one(): pass\n", "b.py": "def one(): return\n"})
    history.commit({"b.py": "def one(): pass\n"})
    index = MemoryIndex.build(Repository(history.path), "main", [])
    first, second = rank(index, "one", 2)
    assert (first.path, second.path) == ("b.py", "a.py")
    assert 0 < first.score - second.score < 0.5


def test_a_commit_that_changed_everything_is_not_part_of_the_history(history: Any) -> None:
    made = history.commit({"a.py": "x = 1\n"}, "One\n\nand why")
    history.commit({f"m{n}.py": "x = 1\n" for n in range(51)} | {"a.py": "x = 2\n"})
    assert read_history(Repository(history.path), "main") == [PastCommit(made, "One\n\nand why", ("a.py",))]


def test_files_changed_by_a_similar_commit_come_before_others(history: Any) -> None:
    files = {f"m{n}.py": f"def step_{n}():\n    return {n}\n" for n in range(6)}
    history.commit(files, "All steps")
    history.commit(
        {"m3.py": files["m3.py"] + "# a\n", "m4.py": files["m4.py"] + "# b\n"}, "Retry uploads that time out"
    )
    history.commit({"m5.py": files["m5.py"] + "# c\n"}, "Log in colour")
    index = MemoryIndex.build(Repository(history.path), "main", [])
    found = rank(index, "Uploads time out and are not retried", 6)
    assert set(list(dict.fromkeys(place.path for place in found))[:2]) == {"m3.py", "m4.py"}
    assert "Retry uploads that time out" in next(r.detail for r in found[0].why if r.signal == "commits")


@pytest.mark.parametrize(("times", "order"), [(0, ["a.py", "b.py", "z.py"]), (1, ["a.py", "z.py", "b.py"])])
def test_a_file_that_changed_with_the_found_one_rises_from_the_second_time_on(
    history: Any, times: int, order: list[str]
) -> None:
    history.commit({name: f"def {name[0]}():\n    return 1\n" for name in ("a.py", "b.py", "z.py")}, "Begin")
    for n in range(times):
        history.commit({name: f"def {name[0]}():\n    return {n + 2}\n" for name in ("a.py", "z.py")}, "Count on")
    index = MemoryIndex.build(Repository(history.path), "main", [])
    found = rank(index, "`a` is wrong", 3, off={"recent", "commits"})
    assert [place.path for place in found] == order
    shared = {place.path: [r.detail for r in place.why if r.signal == "together"] for place in found}
    assert shared["b.py"] == []
    assert shared["z.py"] == ([f"changed {times + 1} times together with a.py"] if times else [])


def test_adjacent_words_count_more_than_the_same_words_apart(history: Any) -> None:
    history.commit(
        {
            "apart.py": "def one():\n    # soft things come first, after a good while we wrap\n    return 1\n",
            "beside.py": "def one():\n    # soft_wrap is what matters, first after a good while\n    return 1\n",
        }
    )
    index = MemoryIndex.build(Repository(history.path), "main", [])
    first, second = rank(index, "the soft wrap", 2, off={"text", "file", "title"})
    assert first.path == "beside.py"
    assert "“soft wrap”" in next(reason.detail for reason in first.why if reason.signal == "phrases")
    assert "phrases" not in {reason.signal for reason in second.why}


@pytest.mark.parametrize(
    ("mention", "found"),
    [
        ("src/shop/cart.py", ["src/shop/cart.py"]),
        ("/abs/elsewhere/shop/cart.py", ["src/shop/cart.py"]),
        ("C:\\work\\shop\\cart.py", ["src/shop/cart.py"]),
        ("cart.py", ["src/shop/cart.py"]),
        ("shop/cart", ["src/shop/cart.py"]),
        ("util.py", ["a/util.py", "b/util.py"]),
        ("b/util.py", ["b/util.py"]),
        ("other/cart", []),
        ("missing.py", []),
        ("/", []),
    ],
)
def test_a_mentioned_path_refers_to_the_files_that_share_its_end(mention: str, found: list[str]) -> None:
    paths = ["a/util.py", "b/util.py", "src/shop/cart.py", "tests/test_cart.py"]
    manifest = Manifest(tuple(paths), np.arange(len(paths) + 1), np.ones(len(paths), dtype=np.int64))
    assert [paths[file] for file in match_files(mention, manifest)] == found


def test_the_role_of_a_file_follows_from_its_path() -> None:
    assert role_of("src/a.py") is None
    assert (
        role_of("tests/a.py") == role_of("src/test_a.py") == role_of("a/b_test.go") == role_of("x/a.spec.ts") == "test"
    )
    assert role_of("docs/a.md") == role_of("setup.cfg") == "document or data"
    assert role_of("examples/a.py") == "example"
    assert role_of("src/latest.py") is None
