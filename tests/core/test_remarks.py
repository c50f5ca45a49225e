"""What people say while an attempt runs is observed by it once, and is part of the text of those after it."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from core import tasks
from core.attempts import Attempt, LeaseLost
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.remarks import AT_ONCE, Remark, add_remark
from core.states import TaskState
from core.tasks import TaskNotFound
from core.trajectory import Trajectory

from .test_questions import Waiting


@pytest.fixture
def talk(database: Database) -> Waiting:
    return Waiting(database, PostgresLog(database))


def _say(talk: Waiting, text: str, key: str = "1", author: str = "ada") -> bool:
    with talk.database.team(DEFAULT_TEAM) as connection:
        return add_remark(connection, talk.log, talk.id, key, author, text)


def _heard(attempt: Attempt, number: int = 1) -> list[Remark]:
    """What an attempt hears after its lease is renewed, and notes as entry `number` of its trajectory."""
    assert attempt.renew()
    store = Trajectory(attempt)
    found = store.remarks()
    store.heard(number, found)
    return found


def test_a_remark_reaches_the_running_attempt_once_and_the_text_of_the_next(talk: Waiting) -> None:
    attempt = talk.claim()
    assert _heard(attempt) == []
    assert not attempt.is_spoken_to
    for _ in range(100):
        assert _say(talk, "Look at `total`.")
    assert talk.state() == ("running", 1)
    [remark] = _heard(attempt, 7)
    assert (remark.author, remark.text) == ("ada", "Look at `total`.")
    assert _heard(attempt) == []
    assert talk.claim().text.body == "Somewhere.", "the text of a running attempt stays what it was"
    assert talk.answers() == [("ada", "Look at `total`.", "accepted", 1)]
    assert talk.ask(attempt) == TaskState.WAITING, "what was observed is not an answer to what is asked afterwards"
    with talk.database.team(DEFAULT_TEAM) as connection:
        tasks.retry(connection, talk.log, talk.id)
    assert talk.claim().text.body == "Somewhere.\n\nada says:\n\nLook at `total`."


def test_who_lost_the_lease_hears_nothing_and_takes_nothing_from_the_next_run(talk: Waiting) -> None:
    first = talk.claim()
    _say(talk, "Look at `total`.")
    with talk.database.system() as connection:
        connection.execute("UPDATE attempts SET lease_until = now() - interval '1 second'")
    second = talk.claim("another")
    store = Trajectory(first)
    found = store.remarks()
    with pytest.raises(LeaseLost):
        store.heard(1, found)
    assert [one.text for one in _heard(second)] == ["Look at `total`."]


def test_what_is_said_before_a_run_claims_the_attempt_is_part_of_its_text(talk: Waiting) -> None:
    _say(talk, "Look at `total`.")
    attempt = talk.claim()
    assert attempt.text.body == "Somewhere.\n\nada says:\n\nLook at `total`."
    assert _heard(attempt) == []


def test_many_remarks_are_heard_in_order_some_at_a_time(talk: Waiting) -> None:
    attempt = talk.claim()
    for number in range(AT_ONCE + 3):
        _say(talk, f"Remark {number}.", str(number))
    texts = [one.text for _ in range(3) for one in _heard(attempt)]
    assert texts == [f"Remark {number}." for number in range(AT_ONCE + 3)]


def test_a_closed_task_hears_nothing(talk: Waiting) -> None:
    assert not _say(talk, " \n ")
    with talk.database.team(DEFAULT_TEAM) as connection:
        tasks.cancel(connection, talk.log, talk.id)
    assert not _say(talk, "Look at `total`.")
    assert talk.answers() == []
    with talk.database.team(DEFAULT_TEAM) as connection, pytest.raises(TaskNotFound):
        add_remark(connection, talk.log, uuid.uuid4(), "1", "ada", "To nobody.")


def test_a_long_remark_is_cut(talk: Waiting) -> None:
    assert _say(talk, "x" * 20_000)
    [(_, body, _, _)] = talk.answers()
    assert len(body) == 8000


def test_a_comment_on_the_issue_of_a_running_task_waits_to_be_judged(talk: Waiting) -> None:
    attempt = talk.claim()
    talk.comment("Long before the task.", "0", datetime.now(UTC) - timedelta(hours=1))
    talk.comment("Look at `total`.", "1", datetime.now(UTC))
    assert [(body, state) for _, body, state, _ in talk.answers()] == [("Look at `total`.", "pending")]
    assert _heard(attempt) == [], "nobody has decided yet whether its author is heard"
