"""Tickets cached in memory: after any change, a search finds the same as one that reads everything again."""

import math
import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.context.chunking import terms
from assets.context.source.sources import add_source, remove_source
from assets.context.store.prune import prune_contents
from assets.context.tickets import corpus_cache, index, search, texts
from assets.context.tickets.apply import apply
from assets.context.tickets.corpus_cache import CorpusCache
from assets.context.tickets.search import TicketHit
from assets.context.tickets.vector_cache import VectorCache
from core.events import DEFAULT_TEAM
from core.tickets import State
from tests.assets.context.tickets.ticket_cases import START, Tracker, comment, issue

WORDS = ["discount", "invoice", "total", "login", "slow", "crash", "memcached", "rounding"]


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caches of a process that has just started."""
    monkeypatch.setattr(search, "_corpora", CorpusCache())
    monkeypatch.setattr(search, "_vectors", VectorCache())


def shown(hits: list[TicketHit]) -> list[Any]:
    return [(hit.key, hit.score, hit.why, hit.part, hit.passage, hit.state, hit.title) for hit in hits]


prose = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
changes = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from(["text", "state", "comment", "uncomment", "delete", "hide"]), prose),
    min_size=1,
    max_size=6,
)


def tell(tracker: Tracker, number: int, what: str, words: str) -> None:
    at = tracker.numbers + 1
    if what in ("comment", "uncomment"):
        tracker.tell(comment(number, "7", words, at=at, deleted=what == "uncomment"))
    elif what == "delete":
        tracker.tell(issue(number, deleted=True, at=at))
    else:
        state = State.CLOSED if what == "state" else State.OPEN
        tracker.tell(issue(number, words, words * 2, state, at=at, hidden=what == "hide"))


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(changes, min_size=2, max_size=3), prose)
def test_every_change_updates_what_is_in_memory(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, rounds: Any, query: str
) -> None:
    monkeypatch.setattr(index, "MERGED_FROM", 3)  # contents move between segments as they do after many changes
    for steps in rounds:
        for number, what, words in steps:
            tell(tracker, number, what, words)
        tracker.index()
        asked = f"{query} #{steps[0][0]}"
        for options in ({}, {"state": State.OPEN}, {"before": START}):
            tracker.search(asked, **options)
            warm = shown(tracker.search(asked, **options))
            with monkeypatch.context() as fresh:
                forget(fresh)
                assert shown(tracker.search(asked, **options)) == warm


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(prose, st.lists(prose, max_size=2)), min_size=1, max_size=6), prose)
def test_tickets_are_ranked_by_the_plain_formula(tracker: Tracker, written: Any, query: str) -> None:
    with tracker.database.team(DEFAULT_TEAM) as connection:
        connection.execute("DELETE FROM ticket_parts")
        connection.execute("DELETE FROM tickets")
    tickets = {}
    for number, (body, comments) in enumerate(written, start=1):
        tracker.tell(issue(number, "Title", body, at=tracker.numbers))
        for part, text in enumerate(comments):
            tracker.tell(comment(number, str(part), text, at=tracker.numbers))
        tickets[f"#{number}"] = [texts.make_text("Title", body), *(texts.make_text("", text) for text in comments)]
    tracker.index()
    hits = tracker.search(query, embedders=[], k=10)
    lists = plain_lists(query, tickets)
    expected: dict[str, float] = {}
    for ordered in lists:
        for rank, key in enumerate(ordered, start=1):
            expected[key] = round(expected.get(key, 0.0) + round(1 / (60 + rank), 5), 5)
    best = sorted(expected, key=lambda key: (-expected[key], key))
    assert [(hit.key, hit.score) for hit in hits] == [(key, pytest.approx(expected[key])) for key in best]


def plain_lists(query: str, tickets: dict[str, list[Any]]) -> list[list[str]]:
    """BM25 of whole tickets, and of their best passages, over dictionaries. A text counts once for the passages."""
    weights = Counter(terms.query_terms(query))
    whole = {key: sum((Counter(part.counts[0]) for part in parts), Counter()) for key, parts in tickets.items()}
    sizes = {key: sum(part.lengths[0] for part in parts) for key, parts in tickets.items()}
    passages = {part.chunks[0].text: (Counter(part.counts[0]), part.lengths[0]) for p in tickets.values() for part in p}
    values = dict.fromkeys(passages, 0.0)
    for text, value in bm25(
        {t: c for t, (c, _) in passages.items()}, {t: n for t, (_, n) in passages.items()}, weights, 0.5
    ):
        values[text] = value
    by_passage = {key: max(values[part.chunks[0].text] for part in parts) for key, parts in tickets.items()}
    return [
        [key for key, value in sorted(scored, key=lambda one: (-round(one[1], 9), one[0])) if value > 0]
        for scored in (bm25(whole, sizes, weights, 0.75), list(by_passage.items()))
    ]


def bm25(counted: Any, sizes: Any, weights: Any, b: float) -> list[tuple[str, float]]:
    mean = max(sum(sizes.values()) / len(sizes), 1.0)
    scored = []
    for key, counts in counted.items():
        value = 0.0
        for term, weight in weights.items():
            holding = sum(term in other for other in counted.values())
            if counts[term]:
                rarity = math.log1p((len(counted) - holding + 0.5) / (holding + 0.5))
                norm = 1.2 * (1 - b + b * sizes[key] / mean)
                value += weight * rarity * counts[term] * 2.2 / (counts[term] + norm)
        scored.append((key, value))
    return scored


def test_a_later_search_reads_only_the_tickets_that_have_changed(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 6):
        tracker.tell(issue(number, f"Crash {number}", "segfault"))
    tracker.index()
    assert len(tracker.words("segfault")) == 5
    read: list[int] = []
    real = corpus_cache.read_since

    def reading(*given: Any) -> Any:
        delta = real(*given)
        read.append(len(delta.touched or ()))
        return delta

    monkeypatch.setattr(corpus_cache, "read_since", reading)
    monkeypatch.setattr(corpus_cache, "read_all", lambda *_: pytest.fail("everything was read again"))
    tracker.words("segfault")
    tracker.tell(issue(3, "Crash 3", "segfault", State.CLOSED, at=1))
    tracker.index()
    assert tracker.words("segfault", state=State.CLOSED) == ["#3"]
    tracker.words("segfault")
    assert read == [0, 1, 0]


def test_a_change_that_is_committed_after_a_later_one_is_not_missed(tracker: Tracker) -> None:
    for number in (1, 2):
        tracker.tell(issue(number, "Crash", f"segfault number{number}"))
    tracker.index()
    begun, end = threading.Event(), threading.Event()

    def close_slowly() -> None:
        with tracker.database.team(DEFAULT_TEAM) as connection:
            apply(connection, DEFAULT_TEAM, "shop", issue(1, "Crash", state=State.CLOSED, at=1), START)
            begun.set()
            end.wait(300)

    slow = threading.Thread(target=close_slowly)
    slow.start()
    assert begun.wait(300)
    with tracker.database.team(DEFAULT_TEAM) as connection:
        apply(connection, DEFAULT_TEAM, "shop", issue(2, "Crash", state=State.CLOSED, at=1), START)
    assert tracker.words("segfault", state=State.CLOSED) == ["#2"]
    end.set()
    slow.join(300)
    assert tracker.words("segfault", state=State.CLOSED) == ["#1", "#2"]


def test_a_removed_source_that_is_added_again_has_none_of_its_former_tickets(tracker: Tracker, tmp_path: Any) -> None:
    tracker.tell(issue(1))
    tracker.index()
    assert tracker.words("discount") == ["#1"]
    remove_source(tracker.database, DEFAULT_TEAM, "shop", tmp_path)
    assert tracker.words("discount") == []
    add_source(tracker.database, DEFAULT_TEAM, "shop", "https://example.org/shop.git")
    assert tracker.words("discount") == []
    tracker.tell(issue(2))
    tracker.index()
    assert tracker.words("discount") == ["#2"]


@pytest.mark.parametrize("limit", ["MOST_TOUCHED", "STALE_SECONDS"])
def test_after_many_changes_or_a_long_time_everything_is_read_again(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    from assets.context.tickets import corpus_read

    tracker.tell(issue(1))
    tracker.index()
    tracker.words("discount")
    monkeypatch.setattr(corpus_read if limit == "MOST_TOUCHED" else corpus_cache, limit, 0)
    read = []
    real = corpus_cache.read_all
    monkeypatch.setattr(corpus_cache, "read_all", lambda *given: read.append(1) or real(*given))
    tracker.tell(issue(2))
    tracker.index()
    assert tracker.words("discount") == ["#1", "#2"]
    assert read == [1]


def test_memory_is_bounded_and_what_does_not_fit_is_found_too(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_corpora", corpora := CorpusCache(kept_bytes=1))
    monkeypatch.setattr(search, "_vectors", vectors := VectorCache(kept_bytes=1))
    tracker.tell(issue(1))
    tracker.index()
    for _ in range(3):
        [hit] = tracker.search("discount")
        assert {reason.signal for reason in hit.why} == {"words", "passage", "vectors hashing-256"}
    assert not corpora._held
    assert not any(vectors._held.values())


def test_vectors_added_later_are_found_from_memory_too(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.index()
    for _ in range(3):
        assert len(tracker.search("discount")[0].why) == 3
    tracker.model.down = True
    tracker.tell(issue(2, "Walruses", "swim"))
    tracker.index()
    tracker.model.down = False
    signals = {reason.signal for hit in tracker.search("walruses") if hit.key == "#2" for reason in hit.why}
    assert signals == {"words", "passage"}
    tracker.index()
    signals = {reason.signal for hit in tracker.search("walruses") if hit.key == "#2" for reason in hit.why}
    assert signals == {"words", "passage", "vectors hashing-256"}


def test_a_merge_is_noticed_by_the_next_search(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 4):
        tracker.tell(issue(number, "Crash", f"word{number} common"))
        tracker.index()
    assert len(tracker.words("common")) == 3
    monkeypatch.setattr(index, "MERGED_FROM", 3)
    tracker.index()
    tracker.words("unknown")
    prune_contents(tracker.database, DEFAULT_TEAM, grace=timedelta(0), readers=timedelta(0))
    assert tracker.words("word3")[:1] == ["#3"]  # a term that was not asked for before
