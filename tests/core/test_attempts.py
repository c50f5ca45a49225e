import uuid

import pytest

from core import attempts, tasks
from core.attempts import Attempt, LeaseLost, LeaseRefused
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM, OUTCOMES
from core.states import TaskState
from core.work import Budget, Hypothesis, Patch, Plan, Verdict, VerdictKind

PLAN = Plan(goal="g", hypotheses=(Hypothesis(claim="h"),), steps=(), acceptance=("a",))


@pytest.fixture
def log(database: Database) -> PostgresLog:
    return PostgresLog(database)


def _task(database: Database, log: PostgresLog, event: str = "github:1") -> uuid.UUID:
    request = tasks.request_event(DEFAULT_TEAM, event, "/github", "shop", title="It fails")
    with database.team(DEFAULT_TEAM) as connection:
        return tasks.create_task(connection, log, event=request, source="shop", title="It fails")


def _claim(
    database: Database, task: uuid.UUID, holder: str = "run-1", seconds: float = 30, attempt: int = 1
) -> Attempt:
    return Attempt.claim(database, DEFAULT_TEAM, task, attempt, holder=holder, seconds=seconds, max_claims=3)


def _state(database: Database, task: uuid.UUID) -> str:
    with database.team(DEFAULT_TEAM) as connection:
        return tasks.get_task(connection, task).state


def _lapse(database: Database) -> None:
    with database.system() as connection:
        connection.execute("UPDATE attempts SET lease_until = clock_timestamp() - interval '1 second'")


def _outcomes(log: PostgresLog) -> list[str]:
    return [str(record.event.data["state"]) for record in log.read(OUTCOMES, {}, limit=100, wait=0).records]


def test_a_claimed_task_runs_and_no_second_run_can_claim_it(database: Database, log: PostgresLog) -> None:
    task = _task(database, log)
    _claim(database, task)
    assert _state(database, task) == TaskState.RUNNING
    with pytest.raises(LeaseRefused, match="held by run run-1"):
        _claim(database, task, holder="run-2")


def test_the_same_run_claims_again_with_the_same_epoch(database: Database, log: PostgresLog) -> None:
    task = _task(database, log)
    assert _claim(database, task).epoch == _claim(database, task).epoch


def test_a_run_whose_lease_lapsed_can_write_nothing_after_another_claimed(database: Database, log: PostgresLog) -> None:
    task = _task(database, log)
    old = _claim(database, task)
    old.record("action", {"n": 1})
    _lapse(database)
    new = _claim(database, task, holder="run-2")
    assert new.epoch > old.epoch
    with pytest.raises(LeaseLost):
        old.record("action", {"n": 2})
    with pytest.raises(LeaseLost):
        old.put_output("plan", PLAN, 0.1)
    assert not old.renew()
    assert old.should_stop()
    assert new.record("action", {"n": 2}) == 2


def test_a_transaction_of_a_lost_lease_leaves_nothing(database: Database, log: PostgresLog) -> None:
    task = _task(database, log)
    old = _claim(database, task)
    _lapse(database)
    _claim(database, task, holder="run-2")
    old.fail("too late")
    assert _state(database, task) == TaskState.RUNNING
    assert _outcomes(log) == []


def test_closing_writes_one_outcome_and_ends_the_lease(database: Database, log: PostgresLog) -> None:
    task = _task(database, log)
    attempt = _claim(database, task)
    patch = Patch(base_commit="c" * 40, diff="d")
    verdict = Verdict(verdict=VerdictKind.PASS, patch_sha256=patch.sha256, checks=())
    with attempt.fenced() as connection:
        attempt.save_verdict(connection, verdict, patch)
        attempt.close(connection, TaskState.RESOLVED, "done", {"candidates": 3})
    assert _state(database, task) == TaskState.RESOLVED
    assert _outcomes(log) == ["resolved"]
    with pytest.raises(LeaseLost), attempt.fenced():
        pass
    with pytest.raises(LeaseRefused, match=r"is resolved already, by attempt 1$"):
        _claim(database, task, holder="run-2")


def test_a_task_is_failed_when_its_runs_keep_ending_without_an_answer(database: Database, log: PostgresLog) -> None:
    task = _task(database, log)
    for n in range(3):
        _claim(database, task, holder=f"run-{n}")
        _lapse(database)
    with pytest.raises(LeaseRefused, match="given up after 3"):
        _claim(database, task, holder="run-3")
    with pytest.raises(LeaseRefused, match=f"has ended, failed: `penstock task retry {task}` starts the next one"):
        _claim(database, task, holder="run-4")
    assert _state(database, task) == TaskState.FAILED
    assert _outcomes(log) == ["failed"]
    with database.team(DEFAULT_TEAM) as connection:
        tasks.retry(connection, log, task)
    with pytest.raises(LeaseRefused, match="is at attempt 2 now, and this was for attempt 1"):
        _claim(database, task, holder="run-5")


def test_lapsed_finds_silent_attempts_and_unclaimed_tasks_but_no_live_ones(
    database: Database, log: PostgresLog
) -> None:
    silent, live, waiting = (_task(database, log, f"github:{n}") for n in range(3))
    _claim(database, silent)
    _lapse(database)
    _claim(database, live, holder="run-2")
    found = {one.task_id for one in attempts.lapsed(database, unclaimed_seconds=0, limit=10)}
    assert found == {silent, waiting}
    assert {one.task_id for one in attempts.lapsed(database, unclaimed_seconds=60, limit=10)} == {silent}


def test_the_lease_of_a_dead_run_is_freed_by_name(database: Database, log: PostgresLog) -> None:
    task = _task(database, log)
    _claim(database, task)
    assert attempts.free_holder(database, "another") == 0
    assert attempts.free_holder(database, "run-1") == 1
    assert _claim(database, task, holder="run-2").epoch == 2


def test_an_attempt_given_back_waits_for_its_delay(database: Database, log: PostgresLog) -> None:
    task = _task(database, log)
    _claim(database, task).give_back(30)
    assert attempts.free_holder(database, "run-1") == 0
    assert attempts.lapsed(database, unclaimed_seconds=0, limit=10) == []


def test_cancelling_stops_the_run_and_leaves_one_outcome(database: Database, log: PostgresLog) -> None:
    task = _task(database, log)
    attempt = _claim(database, task)
    for _ in range(2):
        with database.team(DEFAULT_TEAM) as connection:
            tasks.cancel(connection, log, task)
    assert not attempt.renew()
    assert attempt.should_stop()
    with pytest.raises(LeaseLost):
        attempt.record("action", {})
    assert _outcomes(log) == ["cancelled"]


def test_only_a_retry_makes_the_next_attempt_and_it_starts_clean(database: Database, log: PostgresLog) -> None:
    task = _task(database, log)
    first = _claim(database, task)
    first.put_output("plan", PLAN, 0.1)
    first.fail("broken")
    with database.team(DEFAULT_TEAM) as connection:
        again = tasks.retry(connection, log, task)
    assert (again.attempt, again.state) == (2, TaskState.QUEUED)
    second = _claim(database, task, attempt=2)
    assert second.output("plan", Plan) is None
    second.fail("broken again")
    assert _outcomes(log) == ["failed", "failed"]
    with database.team(DEFAULT_TEAM) as connection, pytest.raises(tasks.IllegalMove):
        tasks.cancel(connection, log, task)


def test_stage_outputs_and_plans_are_replaced_when_repeated(database: Database, log: PostgresLog) -> None:
    attempt = _claim(database, _task(database, log))
    attempt.put_output("plan", PLAN, 0.1)
    changed = PLAN.model_copy(update={"budget": Budget(seconds=5)})
    attempt.put_output("plan", changed, 0.2)
    assert attempt.output("plan", Plan) == changed
    attempt.save_plan(PLAN)
    attempt.save_plan(PLAN.model_copy(update={"revision": 2, "reason": "learnt"}))
    latest = attempt.latest_plan()
    assert latest is not None
    assert (latest.revision, latest.reason) == (2, "learnt")


def test_the_same_event_makes_one_task(database: Database, log: PostgresLog) -> None:
    assert _task(database, log) == _task(database, log)
    with database.team(DEFAULT_TEAM) as connection:
        assert len(tasks.list_tasks(connection)) == 1
