"""Tickets in a real Postgres: which change wins, what is found, and how often texts are embedded."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.context.store.prune import prune_contents
from assets.context.tickets import inbox
from assets.context.tickets.index import index_tickets
from core.events import DEFAULT_TEAM, Event
from core.tickets import TICKET_CHANGED, Service, Snapshot, State, TicketChange
from tests.assets.context.tickets.ticket_cases import START, Counting, Tracker, comment, issue


def test_a_change_of_state_is_seen_and_embeds_nothing(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.tell(issue(2, "Login page is slow"))
    tracker.index()
    embedded = tracker.model.embedded
    assert embedded == 2
    tracker.tell(issue(1, state=State.CLOSED, status="closed completed", at=5, action="issues.closed"))
    tracker.tell(
        issue(1, state=State.CLOSED, status="closed completed", labels=("bug",), at=6, action="issues.labeled")
    )
    report = tracker.index()
    assert tracker.model.embedded == embedded
    assert (report.parts, report.chunks_new) == (0, 0)
    assert [hit.state for hit in tracker.search("discount invoice", k=1)] == ["closed"]
    assert [(c.key, c.action, c.before, c.after) for c in report.status.last] == [
        ("#1", "issues.closed", "open", "closed (closed completed)")
    ]
    assert (tracker.words("discount", state=State.OPEN), tracker.words("discount")) == (["#2"], ["#1", "#2"])
    assert tracker.rows("SELECT labels FROM tickets WHERE key = '#1'") == [(["bug"],)]


def test_what_is_older_never_replaces_what_is_newer(tracker: Tracker) -> None:
    tracker.tell(issue(1, "New title", "new words", State.CLOSED, at=9))
    tracker.tell(issue(1, "Old title", "old words", State.OPEN, at=3))
    tracker.tell(comment(1, "7", "second version", at=8))
    tracker.tell(comment(1, "7", "first version", at=7))
    report = tracker.index()
    assert (report.changes.applied, report.changes.stale) == (2, 2)
    assert tracker.rows("SELECT title, state FROM tickets") == [("New title", "closed")]
    assert sorted(tracker.rows("SELECT part, text FROM ticket_parts")) == [
        ("7", "second version"),
        ("body", "new words"),
    ]
    assert not tracker.words("old first")


def test_an_old_comment_is_stored_although_its_ticket_is_newer(tracker: Tracker) -> None:
    tracker.tell(issue(1, state=State.CLOSED, at=9))
    old = Snapshot(title="Old title", state=State.OPEN, updated_at=START)
    tracker.tell(comment(1, "7", "helpful words", at=1, ticket=old))
    tracker.index()
    assert tracker.keys("helpful") == ["#1"]
    assert tracker.rows("SELECT title, state FROM tickets") == [("Total is wrong", "closed")]


def test_a_comment_may_come_before_its_ticket(tracker: Tracker) -> None:
    tracker.tell(comment(1, "7", "memcached"))
    tracker.index()
    assert tracker.search("memcached #1") == []
    tracker.tell(issue(1, at=-60))
    tracker.index()
    assert tracker.keys("memcached") == ["#1"]


def test_deleted_comments_and_tickets_are_no_longer_found_and_stay_deleted(tracker: Tracker) -> None:
    for number in (1, 2):
        tracker.tell(issue(number, f"Crash {number}", "segfault"))
        tracker.tell(comment(number, "7", "memcached"))
    tracker.index()
    assert sorted(tracker.keys("memcached")) == ["#1", "#2"]
    tracker.tell(comment(1, "7", "", deleted=True))
    tracker.tell(issue(2, deleted=True, at=1))
    report = tracker.index()
    assert report.removed >= 1
    assert tracker.keys("memcached segfault") == ["#1"]
    assert [hit.part for hit in tracker.search("memcached segfault")] == ["body"]
    tracker.tell(comment(1, "7", "memcached again", at=99))
    tracker.tell(issue(2, "Crash 2", "segfault", at=99))
    tracker.index()
    assert tracker.keys("memcached segfault") == ["#1"]
    assert tracker.rows("SELECT text FROM ticket_parts WHERE key = '#2' OR part = '7'") == [("",)]


def test_hidden_tickets_and_comments_are_not_found_until_they_are_shown(tracker: Tracker) -> None:
    tracker.tell(issue(1, "Secret", "vulnerability", hidden=True))
    tracker.tell(issue(2))
    tracker.tell(comment(2, "7", "internal words", hidden=True))
    tracker.index()
    assert tracker.words("vulnerability internal words #1") == []
    tracker.tell(issue(1, "Secret", "vulnerability", hidden=False, at=1))
    tracker.index()
    assert tracker.words("vulnerability") == ["#1"]
    tracker.tell(issue(1, "Secret", "vulnerability", hidden=True, at=2))
    tracker.index()
    assert tracker.words("vulnerability") == []


def test_an_edit_replaces_what_is_found(tracker: Tracker) -> None:
    tracker.tell(issue(1, body="about walruses"))
    tracker.index()
    tracker.tell(issue(1, body="about narwhals", at=1))
    tracker.index()
    assert (tracker.words("walruses"), tracker.words("narwhals")) == ([], ["#1"])
    tracker.tell(issue(1, title="About dugongs", body="about narwhals", at=2))
    tracker.index()
    assert tracker.words("dugongs") == ["#1"]


def test_a_model_being_built_gets_new_tickets_immediately_and_old_ones_by_its_migration(
    tracker: Tracker,
) -> None:
    tracker.tell(issue(1, body="about walruses"))
    tracker.index()
    built = Counting("wordllama")
    tracker.tell(issue(2, body="about narwhals"))
    index_tickets(tracker.database, DEFAULT_TEAM, "shop", embedders=[tracker.model], building=[built])
    assert (tracker.model.embedded, built.embedded) == (2, 1)


def test_a_moved_ticket_has_its_new_key_and_keeps_its_comments(tracker: Tracker) -> None:
    at = {"service": Service.JIRA, "project": "OLD"}
    tracker.tell(issue(3, key="OLD-3", **at))
    talk = comment(3, "7", "memcached").model_copy(update={**at, "key": "OLD-3"})
    tracker.tell(talk)
    tracker.index()
    embedded = tracker.model.embedded
    tracker.tell(issue(3, key="NEW-9", service=Service.JIRA, project="NEW", moved_from="OLD-3", at=1))
    late = comment(3, "8", "late words").model_copy(update={**at, "key": "OLD-3"})
    tracker.tell(late)
    tracker.index()
    assert tracker.keys("memcached discount") == ["NEW-9"]
    assert tracker.model.embedded == embedded
    assert tracker.words("late words") == []
    tracker.tell(issue(3, key="OLD-3", **at, moved_from="NEW-9", at=2))
    tracker.index()
    assert tracker.keys("memcached discount") == ["OLD-3"]


def test_a_repeated_event_is_stored_once_and_an_unreadable_one_blocks_nothing(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.numbers -= 1
    tracker.tell(issue(1, "Other"))
    broken = Event(id="github:bad", source="/x", type=TICKET_CHANGED, subject="shop", data={"change": {"key": 3}})
    nobody = broken.model_copy(update={"id": "github:nobody", "subject": "nobody"})
    assert inbox.accept(tracker.database, [broken, nobody]) == 1
    report = tracker.index()
    assert (report.changes.applied, report.changes.refused) == (1, 1)
    assert tracker.rows("SELECT title FROM tickets") == [("Total is wrong",)]
    [(outcome,)] = tracker.rows("SELECT outcome FROM ticket_changes WHERE event_id = 'github:bad'")
    assert outcome.startswith("refused: service")
    assert tracker.index().changes.total == 0


def test_the_lag_is_from_the_arrival_of_a_change_until_it_is_searchable(tracker: Tracker) -> None:
    tracker.tell(issue(1), received=datetime.now(UTC) - timedelta(seconds=30))
    report = tracker.index()
    assert report.status.lag_median is not None
    assert 30 <= report.status.lag_median < 600
    assert (report.status.waiting, report.status.tickets) == (0, {"issue open": 1})


def test_a_clock_that_is_ahead_does_not_block_later_changes(tracker: Tracker) -> None:
    tracker.tell(issue(1, "From the future", at=60 * 24 * 365 * 100))
    tracker.tell(issue(1, "From now", updated_at=datetime.now(UTC) + timedelta(hours=1)))
    tracker.index()
    assert tracker.rows("SELECT title FROM tickets") == [("From now",)]


def test_many_small_segments_become_one_and_pruning_leaves_tickets_alone(tracker: Tracker) -> None:
    for number in range(40):
        tracker.tell(issue(number + 1, f"Ticket {number}", f"word{number} common"))
        tracker.index()
    segments = "SELECT count(DISTINCT segment) FROM contents"
    assert tracker.rows(segments)[0][0] < 20
    for _ in range(2):
        prune_contents(tracker.database, DEFAULT_TEAM, grace=timedelta(0), readers=timedelta(0))
    assert tracker.words("word7")[0] == "#8"
    assert len(tracker.words("common", k=100)) == 40


steps = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["open", "closed", "comment", "uncomment"]), st.integers(0, 3)),
    min_size=1,
    max_size=8,
    unique_by=lambda step: step[0],
)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(tracker: Tracker, given_steps: Any, random: Any) -> None:
    def change(number: int, step: tuple[int, str, int]) -> TicketChange:
        at, what, text = step
        if what in ("open", "closed"):
            return issue(number, f"title {text}", f"text {text}", State(what), at=at)
        told = Snapshot(title="first", body="first", updated_at=START - timedelta(days=1))
        return comment(number, "7", f"comment {text}", at=at, ticket=told, deleted=what == "uncomment")

    shuffled = list(given_steps)
    random.shuffle(shuffled)
    first, second = tracker.numbers * 2 + 1000, tracker.numbers * 2 + 1001
    for number, order in ((first, given_steps), (second, shuffled)):
        tracker.tell(issue(number, "first", "first", at=-60 * 24 * 2))
        for step in sorted(order) if number == first else order:
            tracker.tell(change(number, step))
    tracker.index()
    states = [
        tracker.rows(
            "SELECT t.title, t.state, p.part, p.text, p.deleted_at IS NULL FROM tickets t JOIN ticket_parts p "
            "USING (team_id, source, service, project, key) WHERE key = %s ORDER BY part",
            f"#{number}",
        )
        for number in (first, second)
    ]
    assert states[0] == states[1]


def test_an_index_run_killed_anywhere_is_repaired_by_the_next_run(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement of a run fails once; the next run then ends in the same state as an undisturbed one."""
    import psycopg

    class Killed(BaseException):
        pass

    real = psycopg.Connection.execute
    left = [0]

    def execute(self: Any, *arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return real(self, *arguments, **named)

    tracker.tell(issue(1000, "Warm", "up"))
    tracker.index()
    crossed = 0
    for point in range(1, 200, 2):
        number = point
        tracker.tell(issue(number, f"Ticket {number}", f"unique{number}"))
        tracker.tell(comment(number, "7", f"remark{number}"))
        left[0] = point
        monkeypatch.setattr(psycopg.Connection, "execute", execute)
        try:
            tracker.index()
        except Killed:
            crossed += 1
        else:
            break
        finally:
            monkeypatch.setattr(psycopg.Connection, "execute", real)
        tracker.index()
        assert tracker.words(f"unique{number}")[0] == f"#{number}"
        assert tracker.words(f"remark{number}")[0] == f"#{number}"
    assert crossed > 8
    assert tracker.rows("SELECT count(*) FROM ticket_changes WHERE searchable_at IS NULL") == [(0,)]
