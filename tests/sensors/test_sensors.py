"""Sensors called directly, on a real Postgres log and an ephemeral Dagster instance."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunRequest, SensorResult, SkipReason, build_sensor_context

import sensors.changes
import sensors.looks
import sensors.tasks
from assets.attempt_run import ATTEMPT_TAG, TASK_TAG, run_tags
from assets.context.assets import changed_at
from assets.platform import Platform
from core import attempts, tasks
from core.attempts import Attempt
from core.database import Database
from core.events import CHANGES, DEAD_LETTERS, DEFAULT_TEAM, TASKS, Event
from core.questions import wait_for_answer
from core.settings import Settings
from core.states import TaskState
from core.tickets import TICKET_CHANGED
from sensors.changes import change_sensor
from sensors.cursor import load
from sensors.publications import publication_sensor
from sensors.slots import TASK_JOB
from sensors.tasks import reconciler, task_sensor


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    made = Platform(Settings(home=tmp_path, slots=2, lease_seconds=30, max_claims=2), database_url)
    yield made
    made.reader.close()
    made.close()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(autouse=True)
def _short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors.tasks, "TICK_SECONDS", 0.3)
    monkeypatch.setattr(sensors.looks, "TICK_SECONDS", 0.3)
    monkeypatch.setattr(sensors.changes, "TICK_SECONDS", 0.3)


def _task(platform: Platform, number: int, source: str = "shop") -> uuid.UUID:
    event = tasks.request_event(DEFAULT_TEAM, f"github:{number}", "/github", source, title="t")
    with platform.database.team(DEFAULT_TEAM) as connection:
        return tasks.create_task(connection, platform.log, event=event, source=source, title="t")


def _tick(instance: DagsterInstance, platform: Platform, cursor: str | None = None) -> SensorResult | SkipReason:
    context = build_sensor_context(instance=instance, cursor=cursor)
    result = task_sensor(context, platform=platform)
    assert isinstance(result, SensorResult | SkipReason)
    return result


def _requests(result: object) -> list[RunRequest]:
    return list(result.run_requests or []) if isinstance(result, SensorResult) else []


def _start_run(instance: DagsterInstance, task: uuid.UUID, status: DagsterRunStatus) -> str:
    """The run's id."""
    from dagster._core.test_utils import create_run_for_test

    tags = run_tags(DEFAULT_TEAM, task, 1)
    return str(create_run_for_test(instance, job_name=TASK_JOB, status=status, tags=tags).run_id)


def test_a_tick_takes_no_more_tasks_than_there_are_free_slots(instance: DagsterInstance, platform: Platform) -> None:
    made = [_task(platform, n) for n in range(3)]
    first = _tick(instance, platform)
    assert [request.tags[TASK_TAG] for request in _requests(first)] == [str(task) for task in made[:2]]
    assert isinstance(first, SensorResult)
    _start_run(instance, made[0], DagsterRunStatus.STARTED)
    second = _tick(instance, platform, first.cursor)
    assert [request.tags[TASK_TAG] for request in _requests(second)] == [str(made[2])]


def test_a_tick_with_every_slot_taken_reads_on_but_starts_nothing(
    instance: DagsterInstance, platform: Platform
) -> None:
    for n in range(2):
        _start_run(instance, _task(platform, n), DagsterRunStatus.STARTED)
    result = _tick(instance, platform)
    assert isinstance(result, SensorResult)
    assert _requests(result) == []
    assert load(result.cursor, "postgres") == {0: 2}


def test_a_request_carries_its_task_its_partition_and_its_key_and_is_made_once(
    instance: DagsterInstance, platform: Platform
) -> None:
    task = _task(platform, 1)
    [request] = _requests(_tick(instance, platform))
    assert request.run_key == f"task:{task}:1"
    assert request.partition_key == "shop"
    assert request.tags[ATTEMPT_TAG] == "1"
    assert _requests(_tick(instance, platform)) == [], "also when its event is read again"


@pytest.mark.parametrize("kind", ["research", "service"])
def test_a_task_of_another_kind_runs_the_assets_of_that(
    instance: DagsterInstance, platform: Platform, kind: str
) -> None:
    task = _task(platform, 1)
    with platform.database.system() as connection:
        connection.execute("UPDATE tasks SET options = jsonb_build_object('kind', %s::text)", (kind,))
    [request] = _requests(_tick(instance, platform))
    assert {key.path[0] for key in request.asset_selection or ()} == {kind}
    with platform.database.system() as connection:
        connection.execute("UPDATE tasks SET updated_at = now() - interval '1 minute'")
    [again] = _requests(reconciler(build_sensor_context(instance=instance), platform=platform))
    assert again.tags[TASK_TAG] == str(task) and again.asset_selection == request.asset_selection


def test_a_request_that_was_lost_is_made_again_by_the_reconciler(instance: DagsterInstance, platform: Platform) -> None:
    task = _task(platform, 1)
    assert len(_requests(_tick(instance, platform))) == 1
    assert _requests(reconciler(build_sensor_context(instance=instance), platform=platform)) == []
    with platform.database.system() as connection:
        connection.execute("UPDATE tasks SET updated_at = now() - interval '1 minute'")
    [again] = _requests(reconciler(build_sensor_context(instance=instance), platform=platform))
    assert again.tags[TASK_TAG] == str(task)


def test_a_slot_is_kept_for_a_request_that_was_lost(instance: DagsterInstance, platform: Platform) -> None:
    for n in range(4):
        _task(platform, n)
    assert len(_requests(_tick(instance, platform))) == 2, "as if both were then lost"
    assert len(_requests(_tick(instance, platform))) == 2, "they may still be claimed"
    with platform.database.system() as connection:
        connection.execute("UPDATE tasks SET updated_at = now() - interval '1 minute'")
    _task(platform, 5)
    assert _requests(_tick(instance, platform)) == []


def test_nothing_that_fails_takes_turns(instance: DagsterInstance, platform: Platform) -> None:
    task = _task(platform, 1)
    real = platform.reader.commit_group
    platform.reader.commit_group = lambda *_: 1 / 0  # type: ignore[assignment,method-assign]
    with pytest.raises(Exception, match="division"):
        _tick(instance, platform)
    platform.reader.commit_group = real  # type: ignore[method-assign]
    assert [request.tags[TASK_TAG] for request in _requests(_tick(instance, platform))] == [str(task)]


def test_a_task_that_waits_for_its_turn_is_not_silent(instance: DagsterInstance, platform: Platform) -> None:
    for n in range(3):
        _task(platform, n)
    assert len(_requests(_tick(instance, platform))) == 2
    with platform.database.system() as connection:
        connection.execute("UPDATE tasks SET updated_at = now() - interval '1 minute'")
    assert len(attempts.lapsed(platform.database, unclaimed_seconds=30, limit=10)) == 2


def test_a_noisy_source_delays_another_by_one_run(instance: DagsterInstance, platform: Platform) -> None:
    for n in range(6):
        _task(platform, n)
    late = _task(platform, 7, source="blog")
    first = _tick(instance, platform)
    assert [request.partition_key for request in _requests(first)] == ["shop", "blog"]
    assert _requests(first)[1].tags[TASK_TAG] == str(late)


def test_cancelled_and_claimed_tasks_are_skipped_and_the_cursor_advances(
    instance: DagsterInstance, platform: Platform
) -> None:
    cancelled, claimed = _task(platform, 1), _task(platform, 2)
    with platform.database.team(DEFAULT_TEAM) as connection:
        tasks.cancel(connection, platform.log, cancelled)
    Attempt.claim(platform.database, DEFAULT_TEAM, claimed, 1, holder="r", seconds=30, max_claims=2)
    result = _tick(instance, platform)
    assert _requests(result) == []
    assert isinstance(result, SensorResult)
    assert load(result.cursor, "postgres") == {0: 2}
    assert load(result.cursor, "kafka") == {}, "offsets of another log mean nothing"


def test_many_changes_of_a_source_become_one_refresh(instance: DagsterInstance, platform: Platform) -> None:
    events = [
        Event(id=f"github:{n}", source="/github", type="penstock.source.changed", subject="shop" if n % 3 else "blog")
        for n in range(9)
    ]
    platform.log.append([(CHANGES, event) for event in events])
    result = change_sensor(build_sensor_context(instance=instance), platform=platform)
    assert sorted(str(request.partition_key) for request in _requests(result)) == ["blog", "shop"]
    assert {request.tags["penstock/changes"] for request in _requests(result)} == {"3", "6"}
    oldest = {name: min(event.time for event in events if event.subject == name) for name in ("blog", "shop")}
    assert {request.partition_key: changed_at(request.tags) for request in _requests(result)} == oldest
    assert isinstance(result, SensorResult)
    rest = change_sensor(build_sensor_context(instance=instance, cursor=result.cursor), platform=platform)
    assert isinstance(rest, SkipReason)


def test_ticket_changes_are_stored_and_index_only_the_tickets_of_their_source(
    instance: DagsterInstance, platform: Platform
) -> None:
    with platform.database.team(DEFAULT_TEAM) as connection:
        for name in ("shop", "blog"):
            connection.execute(
                "INSERT INTO sources (team_id, name, location) VALUES (%s, %s, '/x')", (DEFAULT_TEAM, name)
            )
    change = {"service": "github", "project": "acme/shop", "key": "#1", "kind": "issue", "action": "issues.opened"}
    events = [
        Event(id=f"github:{n}", source="/github", type=TICKET_CHANGED, subject=subject, data={"change": change})
        for n, subject in enumerate(["shop", "shop", "blog"])
    ]
    push = Event(id="github:p", source="/github", type="penstock.source.changed", subject="blog")
    platform.log.append([(CHANGES, event) for event in (*events, push)])
    for _ in range(2):  # as when a tick is interrupted before its cursor is stored
        result = change_sensor(build_sensor_context(instance=instance), platform=platform)
    requests = {str(r.partition_key): r for r in _requests(result)}
    assert {name: [key.to_user_string() for key in r.asset_selection or []] for name, r in requests.items()} == {
        "shop": ["ticket_index"],
        "blog": ["context_index", "ticket_index"],
    }
    assert "penstock/changed-at" not in requests["shop"].tags
    assert requests["blog"].tags["penstock/changed-at"] == push.time.isoformat()
    with platform.database.team(DEFAULT_TEAM) as connection:
        kept = connection.execute("SELECT event_id, source FROM ticket_changes ORDER BY seq").fetchall()
    assert kept == [("github:0", "shop"), ("github:1", "shop"), ("github:2", "blog")]


def test_the_reconciler_relaunches_a_silent_attempt_unless_a_run_is_live(
    instance: DagsterInstance, platform: Platform
) -> None:
    task = _task(platform, 1)
    attempt = Attempt.claim(platform.database, DEFAULT_TEAM, task, 1, holder="r", seconds=30, max_claims=2)
    assert _requests(reconciler(build_sensor_context(instance=instance), platform=platform)) == []
    attempt.give_back()
    requests = _requests(reconciler(build_sensor_context(instance=instance), platform=platform))
    assert [request.tags[TASK_TAG] for request in requests] == [str(task)]
    _start_run(instance, task, DagsterRunStatus.STARTING)
    assert _requests(reconciler(build_sensor_context(instance=instance), platform=platform)) == []


def test_the_reconciler_frees_the_leases_of_failed_runs_and_of_no_others(
    instance: DagsterInstance, platform: Platform
) -> None:
    failed, live = _task(platform, 1), _task(platform, 2)
    for task, status in ((failed, DagsterRunStatus.FAILURE), (live, DagsterRunStatus.STARTED)):
        run = _start_run(instance, task, status)
        Attempt.claim(platform.database, DEFAULT_TEAM, task, 1, holder=run, seconds=900, max_claims=9)
    requests = _requests(reconciler(build_sensor_context(instance=instance), platform=platform))
    assert [request.tags[TASK_TAG] for request in requests] == [str(failed)]


def test_a_task_whose_run_was_killed_does_not_wait_for_those_that_have_yet_to_start(
    instance: DagsterInstance, platform: Platform
) -> None:
    killed = _task(platform, 1)
    assert len(_requests(_tick(instance, platform))) == 1
    Attempt.claim(platform.database, DEFAULT_TEAM, killed, 1, holder="r", seconds=30, max_claims=9).give_back()
    _start_run(instance, killed, DagsterRunStatus.FAILURE)
    for number in range(2, 6):
        _task(platform, number)
    slots = platform.settings.slots
    assert len(_requests(_tick(instance, platform))) == slots - 1, "one slot is the reconciler's"
    requests = _requests(reconciler(build_sensor_context(instance=instance), platform=platform))
    assert [request.tags[TASK_TAG] for request in requests] == [str(killed)]


def test_the_reconciler_fails_a_task_whose_runs_end_before_they_claim_it(
    instance: DagsterInstance, platform: Platform
) -> None:
    task = _task(platform, 1)
    with platform.database.system() as connection:
        connection.execute("UPDATE tasks SET updated_at = now() - interval '1 hour'")
    for _ in range(5):
        _start_run(instance, task, DagsterRunStatus.FAILURE)
    assert _requests(reconciler(build_sensor_context(instance=instance), platform=platform)) == []
    with platform.database.team(DEFAULT_TEAM) as connection:
        closed = tasks.get_task(connection, task)
    assert closed.state == TaskState.FAILED
    assert "ended before they could claim it" in str(closed.reason)


def test_the_reconciler_leaves_tasks_alone_whose_events_wait_in_the_log(
    instance: DagsterInstance, platform: Platform
) -> None:
    task = _task(platform, 1)
    with platform.database.system() as connection:
        connection.execute("UPDATE tasks SET updated_at = now() - interval '1 minute'")
    assert _requests(reconciler(build_sensor_context(instance=instance), platform=platform)) == []
    _tick(instance, platform)  # takes the event; as if its run request were then lost
    with platform.database.system() as connection:
        connection.execute("UPDATE tasks SET updated_at = now() - interval '1 minute'")
    requests = _requests(reconciler(build_sensor_context(instance=instance), platform=platform))
    assert [request.tags[TASK_TAG] for request in requests] == [str(task)]


def test_an_unreadable_event_becomes_a_dead_letter_and_blocks_nothing(
    instance: DagsterInstance, platform: Platform
) -> None:
    broken, good = _task(platform, 1), _task(platform, 2)
    with platform.database.system() as connection:
        connection.execute("UPDATE event_log SET body = '{}' WHERE topic = %s AND event_id = 'github:1'", (TASKS,))
    requests = [request for _ in range(2) for request in _requests(_tick(instance, platform))]
    assert [request.tags[TASK_TAG] for request in requests] == [str(good)]
    letters = platform.log.read(DEAD_LETTERS, {}, limit=10).records
    assert [letter.event.data["offset"] for letter in letters] == [0]
    assert broken != good


def test_nothing_due_starts_no_publication(instance: DagsterInstance, platform: Platform, database: Database) -> None:
    assert isinstance(publication_sensor(build_sensor_context(instance=instance), platform=platform), SkipReason)


@pytest.mark.parametrize("cursor", ["[1]", "x", '{"a": 1}', '{"log": "postgres", "offsets": 3}'])
def test_a_foreign_cursor_is_named_in_the_error(cursor: str) -> None:
    with pytest.raises(ValueError, match="reset it in the Dagster UI"):
        load(cursor, "postgres")


def test_a_waiting_task_takes_no_slot_is_not_relaunched_and_is_closed_when_its_time_is_over(
    instance: DagsterInstance, platform: Platform
) -> None:
    task = _task(platform, 1)
    _tick(instance, platform)
    attempt = Attempt.claim(platform.database, DEFAULT_TEAM, task, 1, holder="gone", seconds=30, max_claims=2)
    ending = {"target": "git:shop", "publication": {"title": "t", "report": "r", "message": "", "source": "shop"}}
    with attempt.fenced() as connection:
        wait_for_answer(connection, platform.log, attempt.task, "Which?", seconds=60, ending={**ending, "data": {}})
    with platform.database.system() as connection:
        connection.execute("UPDATE tasks SET updated_at = now() - interval '1 day'")
    context = build_sensor_context(instance=instance)
    assert _requests(reconciler(context, platform=platform)) == []
    others = [_task(platform, n) for n in (2, 3)]
    assert {request.tags[TASK_TAG] for request in _requests(_tick(instance, platform))} == {str(n) for n in others}
    with platform.database.system() as connection:
        connection.execute("UPDATE questions SET until = now()")
    for other in others:
        _start_run(instance, other, DagsterRunStatus.STARTED)
    reconciler(context, platform=platform)
    with platform.database.team(DEFAULT_TEAM) as connection:
        assert tasks.get_task(connection, task).state == TaskState.UNRESOLVED, "also while every slot is taken"
