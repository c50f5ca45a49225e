"""Tickets in a real Postgres: what is found, why, and who wrote it."""

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.context.pack.spans import Trust
from assets.context.tickets import texts
from assets.context.tickets.search import search_tickets
from core.tickets import Kind, State
from tests.assets.context.tickets.ticket_cases import Counting, Tracker, comment, issue


def test_a_ticket_and_its_comments_are_found_with_reasons_and_authors(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.tell(issue(2, "Login page is slow", "It takes ten seconds after the upgrade."))
    tracker.tell(comment(2, "77", "Restarting memcached helps for a while."))
    tracker.tell(comment(1, "78", "Also with vouchers.", author="ada", author_id="1"))
    tracker.tell(comment(1, "79", "Caused by rounding of percentages.", association="member"))
    report = tracker.index()
    assert (report.changes.applied, report.parts) == (5, 5)
    [hit, *_] = tracker.search("discount counted two times in the invoice")
    assert (hit.key, hit.part, hit.trust, hit.author, hit.state) == ("#1", "body", Trust.TICKET_AUTHOR, "ada", "open")
    assert {reason.signal for reason in hit.why} == {"words", "passage", "vectors hashing-256"}
    assert hit.score == pytest.approx(sum(reason.contribution for reason in hit.why))
    for query, expected in (
        ("memcached", ("#2", "77", Trust.OUTSIDE_COMMENT, "eve")),
        ("vouchers", ("#1", "78", Trust.TICKET_AUTHOR, "ada")),
        ("rounding percentages", ("#1", "79", Trust.TICKET_AUTHOR, "eve")),
    ):
        [hit, *_] = tracker.search(query)
        assert (hit.key, hit.part, hit.trust, hit.author) == expected


def test_one_text_is_embedded_once_by_each_model_however_many_tickets_have_it(tracker: Tracker) -> None:
    for number in range(4):
        tracker.tell(issue(number + 1, "Crash", "segfault"))
        tracker.tell(comment(number + 1, "7", "Same here."))
    tracker.index()
    assert tracker.model.embedded == 2
    second = Counting("wordllama")
    report = tracker.index(tracker.model, second)
    assert (tracker.model.embedded, second.embedded) == (2, 2)
    assert report.models == (tracker.model.identity, second.identity)
    [hit, *_] = tracker.search("program crashes", embedders=[tracker.model, second])
    assert sum(reason.signal.startswith("vectors wordllama") for reason in hit.why) == 1
    assert len(tracker.search("segfault", embedders=[tracker.model, second])) == 4


def test_without_its_model_a_ticket_is_found_by_words_and_gets_its_vectors_later(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.model.down = True
    report = tracker.index()
    assert dict(report.unavailable) == {tracker.model.identity: "the model is down"}
    assert [reason.signal for reason in tracker.search("discount")[0].why] == ["words", "passage"]
    tracker.model.down = False
    assert tracker.index().embedded == 1
    assert len(tracker.search("discount")[0].why) == 3


def test_a_merged_pull_request_shows_what_closed_a_ticket_and_stays_merged(tracker: Tracker) -> None:
    pull = {"kind": Kind.PULL_REQUEST, "closes": ("#1", "SHOP-4")}
    tracker.tell(issue(1))
    tracker.tell(issue(2, "Count discounts once", "Fixes #1", State.MERGED, at=1, commit="c" * 40, **pull))
    tracker.tell(issue(2, "Count discounts once", "Fixes #1", State.CLOSED, at=2, **pull))
    tracker.index()
    hits = {hit.key: hit for hit in tracker.search("discount")}
    assert hits["#1"].closed_by == (f"#2 at {'c' * 12}",)
    assert (hits["#2"].state, hits["#2"].closed_by) == ("merged", (f"commit {'c' * 12}",))
    assert tracker.keys("discount", kind=Kind.ISSUE) == ["#1"]


def test_a_ticket_named_by_its_key_comes_first(tracker: Tracker) -> None:
    tracker.tell(issue(1, "Invoice discount", "invoice discount " * 20))
    tracker.tell(issue(12, "Something else", "entirely"))
    tracker.index()
    assert tracker.keys("invoice discount, see #12")[0] == "#12"
    assert tracker.keys("invoice discount")[0] == "#1"


def test_long_texts_are_cut_into_passages_that_contain_every_word(tracker: Tracker) -> None:
    body = "\n\n".join(f"paragraph {n} " + "lorem ipsum " * 30 for n in range(80)) + "\n\nneedle at the end"
    tracker.tell(issue(1, body=body))
    tracker.tell(issue(2, body="needle"))
    report = tracker.index()
    assert report.chunks_new > 20
    [first, *_] = tracker.search("needle at the end", embedders=[])
    assert "needle at the end" in first.passage
    assert len(tracker.search("needle")) == 2


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=4000))
def test_cutting_keeps_every_word_and_bounds_every_passage(text: str) -> None:
    chunks = texts.cut("", text)
    assert "".join("".join(chunk.text for chunk in chunks).split()) == "".join(
        "".join(line.rstrip() for line in text.removeprefix("\ufeff").split("\n")).split()
    )
    assert all(len(chunk.text) <= 2 * texts.CHUNK_CHARACTERS for chunk in chunks)
    assert [chunk.start_line for chunk in chunks] == sorted(chunk.start_line for chunk in chunks)


def test_unicode_tricks_change_neither_keys_nor_what_is_found(tracker: Tracker) -> None:
    tracker.tell(issue(1, "\u0422\u043etal\u202e gnorw \ufdfa", "e\u0301tat \U0001f4a5" * 50))
    tracker.index()
    assert tracker.words("\u0422\u043etal \U0001f4a5") == ["#1"]
    assert tracker.keys("\u202e' OR 1=1 --") in ([], ["#1"])


def test_other_teams_see_nothing_of_a_ticket(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.index()
    other = uuid.uuid4()
    with tracker.database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (other,))
    assert search_tickets(tracker.database, other, "shop", "discount") == []


def test_each_passage_has_one_vector_of_unit_length(tracker: Tracker, get_vectors: Callable[[str], Any]) -> None:
    tracker.tell(issue(1))
    tracker.tell(comment(1, "7", "memcached"))
    tracker.index()
    rows = get_vectors(tracker.model.identity)
    assert len(rows) == 2
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
