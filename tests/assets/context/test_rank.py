from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.context.history import recent_changes
from assets.context.memory import MemoryIndex
from assets.context.postgres import open_index
from assets.context.rank import WEIGHTS, build_task_context, rank
from assets.context.refresh import refresh
from assets.context.search import search, task_context
from assets.context.signals import ALL
from assets.context.signals.paths import match_files
from assets.context.signals.roles import role_of
from assets.context.sources import add_source
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
    history.commit(FILES)
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


def test_the_methods_of_a_named_class_come_with_it(memory: MemoryIndex) -> None:
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


def test_every_reason_names_its_signal_and_they_add_up(memory: MemoryIndex) -> None:
    seen = set()
    for query in QUERIES:
        for place in rank(memory, query, 30):
            assert sum(reason.contribution for reason in place.why) == pytest.approx(place.score, abs=1e-3)
            assert all(reason.detail for reason in place.why), place
            seen |= {reason.signal for reason in place.why}
    assert seen == set(ALL)


@pytest.mark.parametrize("signal", list(ALL))
def test_each_signal_can_be_switched_off(memory: MemoryIndex, signal: str) -> None:
    used = {
        reason.signal for query in QUERIES for place in rank(memory, query, 30, off={signal}) for reason in place.why
    }
    assert used == set(ALL) - {signal}


def test_every_signal_has_a_weight() -> None:
    assert set(WEIGHTS) == set(ALL)


def test_tests_and_documents_stand_below_sources_but_are_there(memory: MemoryIndex) -> None:
    found = [place.path for place in rank(memory, "total price of a cart", 20)]
    assert found[0] == "src/shop/cart.py"
    assert "tests/test_cart.py" in found
    assert "README.md" in found


def test_a_text_that_says_nothing_still_gives_places(memory: MemoryIndex) -> None:
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
    assert first.score - second.score < 0.2


def test_a_commit_that_changed_everything_says_nothing_of_what_is_recent(history: Any) -> None:
    history.commit({"a.py": "x = 1\n"})
    history.commit({f"m{n}.py": "x = 1\n" for n in range(51)} | {"a.py": "x = 2\n"})
    assert recent_changes(Repository(history.path), "main") == {"a.py": 1}


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
def test_a_mentioned_path_means_the_files_that_share_its_end(mention: str, found: list[str]) -> None:
    paths = ["a/util.py", "b/util.py", "src/shop/cart.py", "tests/test_cart.py"]
    assert [paths[file] for file in match_files(mention, paths)] == found


def test_the_role_of_a_file_follows_from_its_path() -> None:
    assert role_of("src/a.py") is None
    assert (
        role_of("tests/a.py") == role_of("src/test_a.py") == role_of("a/b_test.go") == role_of("x/a.spec.ts") == "test"
    )
    assert role_of("docs/a.md") == role_of("setup.cfg") == "document or data"
    assert role_of("examples/a.py") == "example"
    assert role_of("src/latest.py") is None
