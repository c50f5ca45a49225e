"""A task that waits: nothing can hold or relaunch it, answers let it go on once, and time ends it."""

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from core import attempts, tasks
from core.answers import Said, is_noted, note_answer
from core.attempts import Attempt, LeaseLost, LeaseRefused
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM, OUTCOMES, TASKS
from core.health.ledger import read_ledger
from core.questions import (
    MOST_QUESTIONS,
    answer,
    close_overdue,
    find_question,
    go_on,
    list_answers,
    may_ask,
    wait_for_answer,
)
from core.states import TaskState
from core.tasks import IllegalMove

TICKET = ("github", "acme/shop", "#7")
ENDING = {
    "target": "github:acme/shop",
    "publication": {"title": "It fails", "message": "", "report": "# It\n", "source": "shop"},
    "data": {"verdict": "fail", "candidates": 0},
}


@pytest.fixture
def log(database: Database) -> PostgresLog:
    return PostgresLog(database)


class Waiting:
    """A task for a ticket, whose attempts ask."""

    def __init__(self, database: Database, log: PostgresLog) -> None:
        self.database, self.log = database, log
        event = tasks.request_event(DEFAULT_TEAM, "github:1", "/github", "shop", title="It fails")
        with database.team(DEFAULT_TEAM) as connection:
            self.id = tasks.create_task(
                connection, log, event=event, source="shop", title="It fails", body="Somewhere.", ticket=TICKET
            )

    def task(self) -> tasks.Task:
        with self.database.team(DEFAULT_TEAM) as connection:
            return tasks.get_task(connection, self.id)

    def state(self) -> tuple[str, int]:
        task = self.task()
        return task.state, task.attempt

    def claim(self, holder: str = "run") -> Attempt:
        number = self.task().attempt
        return Attempt.claim(self.database, DEFAULT_TEAM, self.id, number, holder=holder, seconds=30, max_claims=3)

    def ask(self, attempt: Attempt, question: str = "Which call fails?", seconds: float = 3600) -> TaskState:
        with attempt.fenced() as connection:
            return wait_for_answer(connection, self.log, attempt.task, question, seconds=seconds, ending=ENDING)

    def answer(self, text: str, author: str = "ada") -> tasks.Task:
        with self.database.team(DEFAULT_TEAM) as connection:
            return answer(connection, self.log, self.id, author, text)

    def comment(self, text: str, identity: str = "1", at: datetime | None = None) -> Said:
        said = Said(identity, "bob", "5", text, "https://example.org/7#1", at)
        with self.database.team(DEFAULT_TEAM) as connection:
            note_answer(connection, DEFAULT_TEAM, "shop", TICKET, said)
        return said

    def answers(self) -> list[tuple[str, str, str, int | None]]:
        with self.database.team(DEFAULT_TEAM) as connection:
            return [(one.author, one.body, one.state, one.attempt) for one in list_answers(connection, self.id)]

    def outcomes(self) -> list[tuple[str, int]]:
        """How attempts ended; that a task waits is no outcome."""
        return [one for one in self._told() if one[0] != tasks.WAITS]

    def waits(self) -> list[int]:
        """The attempts that were told to wait."""
        return [attempt for kind, attempt in self._told() if kind == tasks.WAITS]

    def _told(self) -> list[tuple[str, int]]:
        records = self.log.read(OUTCOMES, {}, limit=100, wait=0).records
        return [(record.event.type, int(record.event.data["attempt"])) for record in records]


@pytest.fixture
def waiting(database: Database, log: PostgresLog) -> Waiting:
    return Waiting(database, log)


def test_a_waiting_task_holds_no_lease_and_no_run_can_touch_it(waiting: Waiting) -> None:
    attempt = waiting.claim()
    assert waiting.ask(attempt) == TaskState.WAITING
    assert waiting.task().reason == "Which call fails?"
    with waiting.database.system() as connection:
        assert connection.execute("SELECT holder, lease_until, ended_at FROM attempts").fetchall() == [(None,) * 3]
        connection.execute("UPDATE tasks SET updated_at = now() - interval '1 day'")
    assert attempts.lapsed(waiting.database, unclaimed_seconds=0, limit=10) == []
    assert not attempt.renew()
    with pytest.raises(LeaseLost):
        attempt.record("action", {})
    attempt.fail("an error after the question was stored")
    attempt.give_back()
    with pytest.raises(LeaseRefused, match="waits for an answer"):
        waiting.claim("another")
    assert waiting.state() == ("waiting", 1)
    assert (waiting.waits(), waiting.outcomes()) == ([1], [])


def test_an_answer_is_part_of_the_next_attempts_text_and_a_repeat_changes_nothing(waiting: Waiting) -> None:
    waiting.ask(waiting.claim())
    for _ in range(100):
        task = waiting.answer("`total([1])` gives 2")
    assert (task.state, task.attempt, task.trusted) == ("queued", 2, True)
    assert waiting.answers() == [("ada", "`total([1])` gives 2", "accepted", 2)]
    assert waiting.claim().text.body == "Somewhere.\n\nada answers:\n\n`total([1])` gives 2"
    assert waiting.outcomes() == [(tasks.ASKED, 1)]
    requested = [record.event.data["attempt"] for record in waiting.log.read(TASKS, {}, limit=100, wait=0).records]
    assert requested == [1, 2]


def test_two_answers_at_the_same_time_are_both_kept(waiting: Waiting) -> None:
    waiting.ask(waiting.claim())
    start = threading.Barrier(2)

    def say(author: str) -> None:
        start.wait()
        waiting.answer(f"I am {author}.", author)

    threads = [threading.Thread(target=say, args=(author,)) for author in ("ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waiting.state() == ("queued", 2)
    text = waiting.claim().text.body
    assert "ada answers:\n\nI am ada." in text and "bob answers:\n\nI am bob." in text


def test_an_answer_during_the_next_attempt_is_kept_and_spares_its_question(waiting: Waiting) -> None:
    waiting.ask(waiting.claim())
    waiting.answer("First.")
    attempt = waiting.claim()
    assert waiting.answer("Second.", "bob").state == "running"
    assert "Second." not in attempt.text.body and "Second." not in waiting.claim().text.body
    assert waiting.ask(attempt, "And now?") == TaskState.QUEUED
    assert waiting.state() == ("queued", 3)
    assert waiting.claim().text.body.endswith("ada answers:\n\nFirst.\n\nbob answers:\n\nSecond.")


def test_a_task_that_is_closed_cannot_be_answered(waiting: Waiting) -> None:
    waiting.ask(waiting.claim())
    for text in ("", " \n", "x" * 8001):
        with pytest.raises(IllegalMove, match="has 1 to 8000 characters"):
            waiting.answer(text)
    with waiting.database.team(DEFAULT_TEAM) as connection:
        tasks.cancel(connection, waiting.log, waiting.id)
    with pytest.raises(IllegalMove, match="is cancelled: nobody works on it"):
        waiting.answer("It is 3.")
    assert waiting.answers() == []
    assert waiting.outcomes() == [(tasks.CLOSED, 1)]


def test_a_retry_goes_on_without_an_answer(waiting: Waiting) -> None:
    waiting.ask(waiting.claim())
    with waiting.database.team(DEFAULT_TEAM) as connection:
        tasks.retry(connection, waiting.log, waiting.id)
    assert waiting.state() == ("queued", 2)
    assert waiting.claim().text.body == "Somewhere."
    assert waiting.outcomes() == [(tasks.ASKED, 1)]


def test_time_closes_a_task_once_with_its_report_and_the_ledger_balances(waiting: Waiting) -> None:
    attempt = waiting.claim()
    with attempt.fenced() as connection:
        connection.execute(
            "INSERT INTO deliveries (team_id, id, kind, state, task_id, body_sha256) "
            "VALUES (%s, 'github:1', 'k', 'task', %s, '')",
            (DEFAULT_TEAM, waiting.id),
        )
    waiting.ask(attempt)
    assert close_overdue(waiting.database, waiting.log, 10) == []
    with waiting.database.system() as connection:
        found = read_ledger(connection)
        assert (found.outcomes, found.balanced) == ({"in progress": 1}, True)
        connection.execute("UPDATE questions SET until = now()")
    assert close_overdue(waiting.database, waiting.log, 10) == [waiting.id]
    assert close_overdue(waiting.database, waiting.log, 10) == []
    task = waiting.task()
    assert task.state == TaskState.UNRESOLVED
    assert (task.reason or "").endswith(": Which call fails?") and "nobody has answered" in (task.reason or "")
    assert waiting.outcomes() == [(tasks.CLOSED, 1)]
    with waiting.database.system() as connection:
        query = "SELECT target, state, patch_sha256, body ->> 'report' FROM publications"
        assert connection.execute(query).fetchall() == [("github:acme/shop", "pending", None, "# It\n")]
        found = read_ledger(connection)
        assert (found.outcomes, found.balanced) == ({"unresolved": 1}, True)


def test_the_ledger_balances_after_an_answer(waiting: Waiting) -> None:
    waiting.ask(waiting.claim())
    waiting.answer("It is 3.")
    with waiting.database.system() as connection:
        assert connection.execute("SELECT count(*) FROM attempts WHERE ended_at IS NOT NULL").fetchone() == (1,)
        assert read_ledger(connection).balanced


def test_a_comment_whose_author_is_not_asked_about_yet_keeps_a_task_open(waiting: Waiting) -> None:
    waiting.ask(waiting.claim(), seconds=0)
    waiting.comment("It is 3.")
    assert close_overdue(waiting.database, waiting.log, 10) == []
    with waiting.database.system() as connection:
        connection.execute("UPDATE answers SET state = 'ignored'")
    assert close_overdue(waiting.database, waiting.log, 10) == [waiting.id]


def test_a_comment_is_noted_once_and_only_after_the_question(waiting: Waiting) -> None:
    now = datetime.now(UTC)

    def noted(said: Said) -> bool:
        with waiting.database.team(DEFAULT_TEAM) as connection:
            return is_noted(connection, DEFAULT_TEAM, "shop", TICKET, said)

    attempt = waiting.claim()
    waiting.ask(attempt)
    assert noted(waiting.comment("Long ago.", "0", now - timedelta(hours=1)))
    assert waiting.answers() == []
    assert not noted(Said("1", "bob", "5", "It is 3."))
    for _ in range(100):
        said = waiting.comment("It is 3.", at=now + timedelta(seconds=5))
    assert noted(said)
    waiting.comment("x" * 20_000, "2")
    assert [(author, len(body), state) for author, body, state, _ in waiting.answers()] == [
        ("bob", 8000, "pending"),
        ("bob", 8, "pending"),
    ]
    with waiting.database.team(DEFAULT_TEAM) as connection:
        note_answer(connection, DEFAULT_TEAM, "shop", ("github", "acme/shop", "#8"), Said("9", "bob", None, "Else."))
    assert len(waiting.answers()) == 2


def test_answers_of_comments_are_bounded_together(waiting: Waiting) -> None:
    waiting.ask(waiting.claim())
    for number in range(5):
        waiting.comment(f"{number}" * 8000, str(number))
    with waiting.database.team(DEFAULT_TEAM) as connection:
        connection.execute("UPDATE answers SET state = 'accepted'")
        task = tasks.get_task(connection, waiting.id, lock=True)
        assert go_on(connection, waiting.log, task, ("bob", "5")).starter == "bob"
    assert 23_000 < len(waiting.claim().text.body) < 24_100


def test_a_task_asks_a_limited_number_of_times(waiting: Waiting) -> None:
    for number in range(MOST_QUESTIONS):
        attempt = waiting.claim()
        with attempt.fenced() as connection:
            assert may_ask(connection, attempt.task)
        waiting.ask(attempt, f"Question {number}?")
        waiting.answer(f"Answer {number}.")
    with waiting.database.team(DEFAULT_TEAM) as connection:
        assert not may_ask(connection, waiting.task())


def test_what_is_asked_is_shown_while_the_task_waits(waiting: Waiting) -> None:
    def shown() -> str | None:
        with waiting.database.team(DEFAULT_TEAM) as connection:
            found = find_question(connection, tasks.get_task(connection, waiting.id))
        return found.question if found else None

    attempt = waiting.claim()
    assert shown() is None
    waiting.ask(attempt, "Which\x00 one?")
    assert shown() == "Which\ufffd one?"
    waiting.answer("This one.")
    assert shown() is None


@pytest.mark.parametrize("do", ["close", "answer"])
def test_whoever_is_killed_before_the_end_of_a_transaction_has_done_nothing(
    waiting: Waiting, do: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting.ask(waiting.claim(), seconds=0)
    acts: dict[str, Callable[[], object]] = {
        "close": lambda: close_overdue(waiting.database, waiting.log, 1),
        "answer": lambda: waiting.answer("It is 3."),
    }

    def die(*_: object) -> uuid.UUID:
        raise psycopg.OperationalError("killed")

    with monkeypatch.context() as broken:
        broken.setattr(waiting.log, "append_in", die)
        with pytest.raises(psycopg.OperationalError):
            acts[do]()
    assert waiting.state() == ("waiting", 1)
    assert waiting.answers() == []
    acts[do]()
    assert waiting.state() == (("unresolved", 1) if do == "close" else ("queued", 2))
