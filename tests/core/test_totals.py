"""Running totals: counted with what they count, once, and by team."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from core import tasks
from core.attempts import Attempt
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.health.totals import Counts, Total, add, ended
from core.states import TaskState
from core.work import TaskText


def totals(database: Database) -> dict[tuple[str, str], float]:
    with database.system() as connection:
        rows = connection.execute("SELECT name, label, sum(value) FROM totals GROUP BY name, label").fetchall()
    return {(name, label): value for name, label, value in rows}


@pytest.fixture
def attempt(database: Database) -> Attempt:
    event = tasks.request_event(DEFAULT_TEAM, "github:1", "/github", "shop", title="t")
    with database.team(DEFAULT_TEAM) as connection:
        task = tasks.create_task(connection, PostgresLog(database), event=event, source="shop", title="t")
    return Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="a", seconds=60, max_claims=3)


def test_what_a_stage_used_is_counted_once_however_often_it_is_stored(database: Database, attempt: Attempt) -> None:
    used = Counts({(Total.PROMPT_TOKENS, "m"): 7.0})
    for _ in range(3):
        attempt.put_output("execution", TaskText(title="t"), 1.0, used)
    assert totals(database) == {("prompt_tokens", "m"): 7.0}
    attempt.counts.note(Total.SANDBOX_SESSIONS, "gvisor", 2)
    attempt.put_output("gate", TaskText(title="t"), 1.0)
    attempt.put_output("gate", TaskText(title="t"), 1.0)
    assert totals(database)["sandbox_sessions", "gvisor"] == 2


def test_a_transaction_that_fails_counts_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.team(DEFAULT_TEAM) as connection:
        add(connection, DEFAULT_TEAM, ended("resolved", 3.0))
        1 / 0  # noqa: B018
    assert totals(database) == {}


def test_an_attempt_that_ends_is_counted_with_its_latency_only_if_nobody_ended_it(
    database: Database, attempt: Attempt
) -> None:
    attempt.give_back(reason="the sandbox is away")
    with attempt.fenced() as connection:
        attempt.close(connection, TaskState.UNRESOLVED, "r", {})
    found = totals(database)
    assert found["attempts", "unresolved"] == found["results", "5"] == found["relaunches", "infrastructure"] == 1
    assert 0 < found["result_seconds", ""] < 5
    with database.team(DEFAULT_TEAM) as connection:
        tasks.retry(connection, attempt.log, attempt.task.id)
        tasks.cancel(connection, attempt.log, attempt.task.id)
    assert totals(database)["attempts", "cancelled"] == 1
    assert totals(database)["results", "5"] == 1


def test_amounts_of_many_transactions_at_once_add_up_without_deadlocks(database: Database) -> None:
    def count(_: int) -> None:
        with database.team(DEFAULT_TEAM) as connection:
            add(connection, DEFAULT_TEAM, {(total, "x"): 1.0 for total in Total})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(200)))
    assert totals(database) == {(total.value, "x"): 200.0 for total in Total}


def test_a_team_counts_for_itself_and_takes_nothing_away(database: Database) -> None:
    other = uuid.uuid4()
    with database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (other,))
    with database.team(DEFAULT_TEAM) as connection:
        add(connection, DEFAULT_TEAM, {(Total.ATTEMPTS, "a\0b" + "x" * 900): 1.0, (Total.ATTEMPTS, "less"): -5.0})
    assert [label for _, label in totals(database)] == ["ab" + "x" * 198]
    with database.team(other) as connection:
        assert connection.execute("SELECT count(*) FROM totals").fetchone() == (0,)


def test_latencies_fall_into_the_buckets_of_their_upper_bounds() -> None:
    assert (Total.RESULTS, "5") in ended("resolved", 5.0)
    assert (Total.RESULTS, "10") in ended("resolved", 5.001)
    assert (Total.RESULTS, "+Inf") in ended("resolved", 1e6)
    assert set(ended("cancelled", None)) == {(Total.ATTEMPTS, "cancelled")}
