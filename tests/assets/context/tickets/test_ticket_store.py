"""Tickets in a real Postgres: which change counts, what is found, and what is embedded how often."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.context.pack_spans import Trust
from assets.context.prune import prune_contents
from assets.context.tickets import inbox, texts
from assets.context.tickets.index import TicketIndexReport, index_tickets
from assets.context.tickets.search import TicketHit, search_tickets
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, Vectors, open_embedder
from core.events import DEFAULT_TEAM, Event
from core.tickets import TICKET_CHANGED, Comment, Kind, Service, Snapshot, State, TicketChange

START = datetime(2026, 3, 1, tzinfo=UTC)


class Counting:
    """Counts the texts that an embedding model is given, and can be told not to answer."""

    def __init__(self, name: str = "hashing") -> None:
        self._model = open_embedder(name)
        self.identity = self._model.identity
        self.dimensions = self._model.dimensions
        self.max_tokens = self._model.max_tokens
        self.embedded = 0
        self.down = False

    def embed_documents(self, given: Sequence[str]) -> Vectors:
        if self.down:
            raise EmbedderUnavailable("the model is down")
        self.embedded += len(given)
        return self._model.embed_documents(given)

    def embed_query(self, text: str) -> Vectors:
        if self.down:
            raise EmbedderUnavailable("the model is down")
        return self._model.embed_query(text)


class Tracker:
    """The tickets of one source, as events tell of them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.model = Counting()
        self.numbers = 0
        with database.team(DEFAULT_TEAM) as connection:
            connection.execute(
                "INSERT INTO sources (team_id, name, location, repository) "
                "VALUES (%s, 'shop', '/srv/shop', 'acme/shop')",
                (DEFAULT_TEAM,),
            )

    def tell(self, change: TicketChange, received: datetime | None = None) -> None:
        """Puts a change where the sensor puts it."""
        self.numbers += 1
        event = Event(
            id=f"github:{self.numbers}",
            source="/penstock/github",
            type=TICKET_CHANGED,
            subject="shop",
            time=received or datetime.now(UTC),
            data={"source": "shop", "change": change.model_dump(mode="json", exclude_none=True)},
        )
        inbox.accept(self.database, [event])

    def index(self, *models: Embedder) -> TicketIndexReport:
        return index_tickets(self.database, DEFAULT_TEAM, "shop", embedders=models or [self.model])

    def search(self, query: str, **options: Any) -> list[TicketHit]:
        return search_tickets(self.database, DEFAULT_TEAM, "shop", query, **{"embedders": [self.model], **options})

    def keys(self, query: str, **options: Any) -> list[str]:
        return [hit.key for hit in self.search(query, **options)]

    def words(self, query: str, **options: Any) -> list[str]:
        """By words alone, since every text is near to another by some vector."""
        return self.keys(query, **{"embedders": [], **options})

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.database.team(DEFAULT_TEAM) as connection:
            return connection.execute(query.encode(), values).fetchall()


@pytest.fixture
def tracker(database: Database) -> Tracker:
    return Tracker(database)


def issue(
    number: int = 1,
    title: str = "Total is wrong",
    body: str = "The invoice adds the discount twice.",
    state: State = State.OPEN,
    at: int = 0,
    action: str = "issues.opened",
    key: str | None = None,
    **more: Any,
) -> TicketChange:
    told = {
        "title": title,
        "body": body,
        "state": state,
        "author": "ada",
        "author_id": "1",
        "url": f"https://github.com/acme/shop/issues/{number}",
        "created_at": START,
        "updated_at": START + timedelta(minutes=at),
    }
    outer = {
        name: more.pop(name)
        for name in ("deleted", "moved_from", "comment", "kind", "service", "project")
        if name in more
    }
    return TicketChange(
        **{"service": Service.GITHUB, "project": "acme/shop", "kind": Kind.ISSUE, **outer},
        key=key or f"#{number}",
        action=action,
        ticket=Snapshot(**{**told, **more}),
    )


def comment(
    number: int, identity: str, body: str, at: int = 0, ticket: Snapshot | None = None, **more: Any
) -> TicketChange:
    told = {"author": "eve", "author_id": "2", "updated_at": START + timedelta(minutes=at)}
    return TicketChange(
        service=Service.GITHUB,
        project="acme/shop",
        key=f"#{number}",
        kind=Kind.ISSUE,
        action="issue_comment.created",
        ticket=ticket,
        comment=Comment(id=identity, body=body, **{**told, **more}),
    )


def test_a_ticket_and_its_comments_are_found_with_the_reasons_and_whose_words_they_are(tracker: Tracker) -> None:
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


def test_an_old_comment_is_kept_though_its_ticket_is_known_better(tracker: Tracker) -> None:
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


def test_deleted_comments_and_tickets_are_found_no_more_and_stay_gone(tracker: Tracker) -> None:
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


def test_a_model_that_is_built_gets_new_tickets_at_once_and_leaves_the_old_ones_to_its_migration(
    tracker: Tracker,
) -> None:
    tracker.tell(issue(1, body="about walruses"))
    tracker.index()
    built = Counting("wordllama")
    tracker.tell(issue(2, body="about narwhals"))
    index_tickets(tracker.database, DEFAULT_TEAM, "shop", embedders=[tracker.model], building=[built])
    assert (tracker.model.embedded, built.embedded) == (2, 1)


def test_without_its_model_a_ticket_is_found_by_words_and_gets_its_vectors_later(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.model.down = True
    report = tracker.index()
    assert dict(report.unavailable) == {tracker.model.identity: "the model is down"}
    assert [reason.signal for reason in tracker.search("discount")[0].why] == ["words", "passage"]
    tracker.model.down = False
    assert tracker.index().embedded == 1
    assert len(tracker.search("discount")[0].why) == 3


def test_a_moved_ticket_goes_by_its_new_key_and_takes_its_comments_along(tracker: Tracker) -> None:
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


def test_a_merged_pull_request_tells_what_closed_a_ticket_and_stays_merged(tracker: Tracker) -> None:
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


def test_long_texts_are_cut_into_passages_that_hold_every_word(tracker: Tracker) -> None:
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


def test_a_repeated_event_is_kept_once_and_an_unreadable_one_holds_up_nothing(tracker: Tracker) -> None:
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


def test_the_lag_is_from_the_arrival_of_a_change_until_it_can_be_found(tracker: Tracker) -> None:
    tracker.tell(issue(1), received=datetime.now(UTC) - timedelta(seconds=30))
    report = tracker.index()
    assert report.status.lag_median is not None
    assert 30 <= report.status.lag_median < 60
    assert (report.status.waiting, report.status.tickets) == (0, {"issue open": 1})


def test_a_clock_that_is_ahead_does_not_freeze_a_ticket(tracker: Tracker) -> None:
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


def test_other_teams_see_nothing_of_a_ticket(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.index()
    other = uuid.uuid4()
    with tracker.database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (other,))
    assert search_tickets(tracker.database, other, "shop", "discount") == []


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


def test_an_index_run_killed_anywhere_is_repaired_by_the_next(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement of a run fails once; whatever was done by then, the next run ends as an undisturbed one does."""
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


def test_vectors_are_of_unit_length_and_one_a_passage(tracker: Tracker, get_vectors: Callable[[str], Any]) -> None:
    tracker.tell(issue(1))
    tracker.tell(comment(1, "7", "memcached"))
    tracker.index()
    rows = get_vectors(tracker.model.identity)
    assert len(rows) == 2
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)


@pytest.fixture
def get_vectors(database: Database) -> Callable[[str], Any]:
    def get(identity: str) -> Any:
        with database.team(DEFAULT_TEAM) as connection:
            [(table,)] = connection.execute(
                "SELECT table_name FROM embedding_models WHERE identity = %s", (identity,)
            ).fetchall()
            rows = connection.execute(f"SELECT embedding::real[] FROM {table}".encode()).fetchall()  # noqa: S608
        return np.array([row[0] for row in rows])

    return get
