"""Who may start work is decided by the forge's answer of that moment, and without one nobody may."""

import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import AssetKey, Failure

from assets.attempt_run import open_attempt, run_tags
from core import tasks
from core.attempts import Attempt
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.forge.protocol import ForgeUnavailable
from core.tasks import Task
from tests.assets.results.conftest import World
from tests.forge_arena import BOT, REPOSITORY


@pytest.mark.parametrize(
    ("permission", "trusted"), [("none", False), ("read", False), ("write", True), ("admin", True)]
)
def test_only_who_may_write_starts_work(world: World, permission: str, trusted: bool) -> None:
    world.arena.forge.grant(REPOSITORY, "ada", permission)
    reason = world.platform.distrust(world.start().task)
    assert (reason is None) == trusted
    assert trusted or f"ada may not write to {REPOSITORY}" in (reason or "")


def test_gitea_tells_administrators_alone_who_may_write(world: World) -> None:
    if world.arena.dialect != "gitea":
        pytest.skip("another forge")
    world.arena.forge.grant(REPOSITORY, BOT, "write")
    with pytest.raises(ForgeUnavailable, match="told only to its administrators: make the account of PENSTOCK_"):
        world.platform.distrust(world.start().task)


def test_a_stranger_whom_the_forge_does_not_know_does_not(world: World) -> None:
    task = replace(world.start().task, starter="nobody-of-this-name", starter_id="987654")
    assert "nobody-of-this-name may not write" in (world.platform.distrust(task) or "")


def test_without_an_answer_nobody_does(world: World) -> None:
    task = world.start().task
    world.arena.forge.add_fault("status", path="permission|members", status=503, times=9)
    with pytest.raises(ForgeUnavailable):
        world.platform.distrust(task)
    world.arena.forge.clear_faults()
    world.arena.forge.add_fault("status", path="permission|members", status=401)
    with pytest.raises(ForgeUnavailable):
        world.platform.distrust(task)
    world.settings(**{f"{world.arena.dialect}_token": None})
    assert "PENSTOCK_" in (world.platform.distrust(task) or "")


@pytest.mark.parametrize(
    "change",
    [{"trusted": True}, {"ticket_key": None}, {"ticket_service": "jira", "ticket_project": "SHOP"}],
    ids=["a person with Penstock's token", "no ticket", "another service"],
)
def test_where_the_forge_is_not_asked(world: World, change: dict[str, Any]) -> None:
    task: Task = replace(world.start(starter="eve").task, **change)
    assert world.platform.distrust(task) is None
    assert not [one for one in world.arena.forge.requests if "permission" in one.path or "members" in one.path]


def test_an_unknown_starter_is_not_trusted_and_a_setting_trusts_everybody(world: World) -> None:
    task = replace(world.start(starter="eve").task, starter=None)
    assert "does not say who" in (world.platform.distrust(task) or "")
    world.settings(who_may_start="anyone")
    assert world.platform.distrust(task) is None


def test_a_retry_with_penstocks_token_is_trusted(world: World) -> None:
    attempt = world.start(starter="eve")
    log = PostgresLog(world.platform.database)
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        tasks.cancel(connection, log, attempt.task.id)
        again = tasks.retry(connection, log, attempt.task.id)
    assert world.platform.distrust(again) is None


def test_a_request_without_a_ticket_is_trusted(world: World) -> None:
    log = PostgresLog(world.platform.database)
    event = tasks.request_event(DEFAULT_TEAM, f"api:{uuid.uuid4()}", "/api", "shop", title="It fails")
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        identity = tasks.create_task(connection, log, event=event, source="shop", title="It fails")
        assert tasks.get_task(connection, identity).trusted


def _context(attempt: Attempt) -> Any:
    """A run of the attempt, as far as `open_attempt` looks at it."""
    run = SimpleNamespace(tags=run_tags(DEFAULT_TEAM, attempt.task.id, 1), run_id="run")
    return SimpleNamespace(run=run, asset_key=AssetKey("task_context"))


def _task(world: World, attempt: Attempt) -> Task:
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        return tasks.get_task(connection, attempt.task.id)


def test_a_run_begins_for_a_writer_and_cancels_the_task_of_a_stranger(world: World) -> None:
    with open_attempt(_context(world.start()), world.platform, first=True) as opened:
        assert opened.task.starter == "ada"
    attempt = world.start(starter="eve")
    with pytest.raises(Failure, match="eve may not write"), open_attempt(_context(attempt), world.platform, first=True):
        pytest.fail("a stranger's work began")
    task = _task(world, attempt)
    assert (task.state, "eve may not write" in (task.reason or "")) == ("cancelled", True)


def test_a_run_waits_for_a_forge_that_gives_no_answer_without_using_up_its_claims(world: World) -> None:
    attempt = world.start()
    claims = "SELECT claims FROM attempts WHERE task_id = %s"
    for _ in range(9):
        world.arena.forge.add_fault("status", path="permission|members", status=503, times=3)
        with pytest.raises(Failure), open_attempt(_context(attempt), world.platform, first=True):
            pytest.fail("work began without an answer")
        with world.platform.database.system() as connection:
            connection.execute("UPDATE attempts SET lease_until = now() - interval '1 second'")
            assert (connection.execute(claims, (attempt.task.id,)).fetchone() or (99,))[0] <= 1
        task = _task(world, attempt)
        assert (task.state, "waits for the forge" in (task.reason or "")) == ("running", True)
    world.arena.forge.clear_faults()
    with open_attempt(_context(attempt), world.platform, first=True):
        assert _task(world, attempt).reason is None


def test_the_first_stage_of_a_run_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.context import assets as stage

    class Asked(Exception):
        pass

    def spy(context: Any, platform: Any, *, first: bool = False) -> Any:
        raise Asked(first)

    monkeypatch.setattr(stage, "open_attempt", spy)
    with pytest.raises(Asked, match="True"):
        stage.task_context.op.compute_fn.decorated_fn(None, None)
