"""People's commands from comments: who may give them, what they do, and that each is answered once."""

import uuid
from dataclasses import dataclass

import pytest

from assets.results.deliver import deliver
from assets.results.forges import distrust
from core import tasks
from core.attempts import Attempt
from core.commands import Command
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.intake import Delivery, Target, TicketIntent, receive
from core.states import CommandState, TaskState
from core.tickets import Service, TicketChange
from core.tickets.record import Comment, Kind
from core.work import VerdictKind
from tests.assets.results.conftest import World
from tests.forge_arena import REPOSITORY


@dataclass
class Talk:
    """Says things at the forge and delivers them as its webhooks would."""

    world: World
    said: int = 0

    def say(
        self, key: str, *commands: Command, author: str = "ada", deliveries: int = 1, url: str | None = None
    ) -> None:
        self.said += 1
        forge = self.world.arena.forge
        user = forge.add_user(author)
        change = TicketChange(
            service=Service(self.world.arena.dialect),
            project=REPOSITORY,
            key=key,
            kind=Kind.ISSUE,
            action="issue_comment.created",
            comment=Comment(
                id=str(self.said), body="", author=author, author_id=self.world.arena.user_id(user), url=url
            ),
        )
        intent = TicketIntent(Target(repository=REPOSITORY), change, commands=commands)
        log = PostgresLog(self.world.platform.database)
        for n in range(deliveries):
            with self.world.platform.database.team(DEFAULT_TEAM) as connection:
                delivery = Delivery("github", f"{self.said}-{n}", "issue_comment", b"0" * 32)
                receive(connection, log, DEFAULT_TEAM, delivery, intent)

    def obey(self) -> list[CommandState]:
        with self.world.platform.database.system() as connection:
            connection.execute("UPDATE commands SET next_try_at = now() WHERE state = 'pending'")
        return [one.state for one in deliver(self.world.platform).commands]


@pytest.fixture
def talk(world: World) -> Talk:
    return Talk(world)


def _state(world: World, attempt: Attempt) -> tasks.Task:
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        return tasks.get_task(connection, attempt.task.id)


def _answers(world: World, attempt: Attempt) -> list[str]:
    return [text for text in world.comments(attempt) if not text.startswith("Penstock ")]


def test_retry_queues_the_next_attempt_once_and_says_so(world: World, talk: Talk) -> None:
    attempt = world.start()
    world.conclude(attempt, VerdictKind.FAIL)
    world.deliver()
    key = attempt.task.ticket_key or ""
    talk.say(key, Command.RETRY, deliveries=3)
    assert talk.obey() == [CommandState.DONE]
    assert talk.obey() == []
    task = _state(world, attempt)
    assert (task.state, task.attempt) == (TaskState.QUEUED, 2)
    assert _answers(world, attempt) == ["# It", f"Queued attempt 2 of task `{task.id}`."]


def test_start_says_how_the_task_stands_and_goes_on_with_one_that_has_ended(world: World, talk: Talk) -> None:
    nothing = world.arena.new_ticket()
    talk.say(nothing, Command.START)
    attempt = world.start()
    talk.say(attempt.task.ticket_key or "", Command.START)
    assert talk.obey() == [CommandState.PENDING, CommandState.DONE], "a sweep may still start the first"
    assert [talk.obey() for _ in range(3)] == [[CommandState.PENDING]] * 2 + [[CommandState.DONE]]
    assert "Nothing has started work on this issue" in world.arena.comments(nothing)[0][1]
    assert _answers(world, attempt) == [f"Task `{attempt.task.id}` is running."]
    world.conclude(attempt, VerdictKind.FAIL)
    talk.say(attempt.task.ticket_key or "", Command.START)
    assert talk.obey() == [CommandState.DONE]
    assert (_state(world, attempt).state, _state(world, attempt).attempt) == (TaskState.QUEUED, 2)


def test_a_writers_start_vouches_for_a_task_that_a_stranger_asked_for(world: World, talk: Talk) -> None:
    made = world.ask(starter="eve")

    def task() -> tasks.Task:
        with world.platform.database.team(DEFAULT_TEAM) as connection:
            return tasks.get_task(connection, made)

    assert distrust(world.platform, task()) is not None
    talk.say(task().ticket_key or "", Command.START)
    assert talk.obey() == [CommandState.DONE]
    assert distrust(world.platform, task()) is None


def test_the_start_that_made_a_task_does_not_retry_it_when_it_is_late(world: World, talk: Talk) -> None:
    attempt = world.start()
    key = attempt.task.ticket_key or ""
    talk.say(key, Command.START)
    with world.platform.database.system() as connection:
        connection.execute("UPDATE commands SET received_at = (SELECT created_at FROM tasks)")
    world.conclude(attempt, VerdictKind.FAIL)
    assert talk.obey() == [CommandState.DONE]
    assert (_state(world, attempt).state, _state(world, attempt).attempt) == (TaskState.UNRESOLVED, 1)


def test_a_strangers_task_hides_none_that_waits_for_approval(world: World, talk: Talk) -> None:
    world.settings(approval="all")
    attempt = world.start()
    world.conclude(attempt)
    world.deliver()
    world.start(ticket=attempt.task.ticket_key, starter="eve")
    with world.platform.database.system() as connection:
        connection.execute("UPDATE tasks SET state = 'cancelled' WHERE id <> %s", (attempt.task.id,))
    talk.say(attempt.task.ticket_key or "", Command.APPROVE)
    talk.obey()
    world.deliver()
    assert len(world.branch_pulls(attempt)) == 1


def test_stop_cancels_and_a_second_stop_changes_nothing(world: World, talk: Talk) -> None:
    attempt = world.start()
    key = attempt.task.ticket_key or ""
    talk.say(key, Command.STOP)
    talk.say(key, Command.STOP)
    assert talk.obey() == [CommandState.DONE, CommandState.DONE]
    task = _state(world, attempt)
    assert (task.state, task.reason) == (TaskState.CANCELLED, "stopped by ada")


def test_approve_publishes_what_is_held(world: World, talk: Talk) -> None:
    world.settings(approval="all")
    attempt = world.start()
    world.conclude(attempt)
    world.deliver()
    assert world.branch_pulls(attempt) == []
    talk.say(attempt.task.ticket_key or "", Command.APPROVE)
    assert talk.obey() == [CommandState.DONE]
    assert len(world.branch_pulls(attempt)) == 1
    with world.platform.database.system() as connection:
        assert connection.execute("SELECT approved_by FROM publications").fetchone() == ("ada",)
    talk.say(attempt.task.ticket_key or "", Command.APPROVE)
    talk.obey()
    assert "Nothing of task" in _answers(world, attempt)[-1]


def test_explain_shows_the_report_and_help_the_commands(world: World, talk: Talk) -> None:
    attempt = world.start()
    key = attempt.task.ticket_key or ""
    talk.say(key, Command.EXPLAIN, Command.HELP)
    assert talk.obey() == [CommandState.DONE, CommandState.DONE]
    assert "is running" in world.arena.comments(key)[0][1]
    assert "/penstock retry" in world.arena.comments(key)[1][1]
    world.conclude(attempt, VerdictKind.FAIL)
    world.deliver()
    talk.say(key, Command.EXPLAIN)
    talk.obey()
    assert "What was tried." in world.arena.comments(key)[-1][1]


def test_a_pull_request_is_the_task_that_it_came_from(world: World, talk: Talk) -> None:
    attempt = world.start()
    world.conclude(attempt)
    world.deliver()
    [pull] = world.branch_pulls(attempt)
    number = pull.url.rpartition("/")[2]
    key = f"{'!' if world.arena.by_iid else '#'}{number}"
    talk.say(key, Command.RETRY, url=f"{pull.url}#issuecomment-1")
    assert talk.obey() == [CommandState.DONE]
    with world.platform.database.system() as connection:
        [said] = connection.execute("SELECT outcome FROM commands").fetchone() or [""]
    assert "What should be different?" in said


@pytest.mark.parametrize("author", ["eve", "mallory"])
def test_who_may_not_write_is_ignored_without_an_answer(world: World, talk: Talk, author: str) -> None:
    attempt = world.start()
    key = attempt.task.ticket_key or ""
    talk.say(key, Command.STOP, author=author)
    assert talk.obey() == [CommandState.IGNORED]
    assert _state(world, attempt).state == TaskState.RUNNING
    assert _answers(world, attempt) == []


def test_permission_is_asked_at_that_moment(world: World, talk: Talk) -> None:
    attempt = world.start()
    talk.say(attempt.task.ticket_key or "", Command.STOP)
    world.arena.forge.grant(REPOSITORY, "ada", "read")
    assert talk.obey() == [CommandState.IGNORED]


def test_a_forge_that_is_away_delays_and_a_lost_answer_is_not_repeated(world: World, talk: Talk) -> None:
    attempt = world.start()
    world.conclude(attempt, VerdictKind.FAIL)
    world.deliver()
    key = attempt.task.ticket_key or ""
    talk.say(key, Command.RETRY)
    world.arena.forge.add_fault("status", path="permission|members", status=503, times=9)
    assert talk.obey() == [CommandState.PENDING]
    assert _state(world, attempt).attempt == 1, "without an answer about permission nothing is done"
    world.arena.forge.clear_faults()
    world.arena.forge.add_fault("drop_after", method="POST", path=r"/(comments|notes)$")
    assert talk.obey() == [CommandState.PENDING]
    assert talk.obey() == [CommandState.DONE]
    assert _state(world, attempt).attempt == 2
    assert len([text for text in _answers(world, attempt) if text.startswith("Queued")]) == 1


def test_a_comment_on_another_project_of_the_source_does_nothing_here(world: World, talk: Talk) -> None:
    attempt = world.start()
    with world.platform.database.system() as connection:
        connection.execute(
            "INSERT INTO commands (team_id, id, source, ticket_service, ticket_project, ticket_key, author, author_id, "
            "command) VALUES (%s, %s, 'shop', %s, 'acme/other', %s, 'ada', '1', 'stop')",
            (DEFAULT_TEAM, uuid.uuid4(), world.arena.dialect, attempt.task.ticket_key),
        )
    assert talk.obey() == [CommandState.IGNORED]
    assert _state(world, attempt).state == TaskState.RUNNING


def test_a_writers_retry_vouches_for_a_strangers_issue(world: World, talk: Talk) -> None:
    attempt = world.start(starter="eve")
    assert "eve may not write" in (world.platform.distrust(attempt.task) or "")
    with attempt.fenced() as connection:
        attempt.close(connection, TaskState.CANCELLED, "eve may not write", {})
    talk.say(attempt.task.ticket_key or "", Command.RETRY)
    assert talk.obey() == [CommandState.DONE]
    task = _state(world, attempt)
    assert (task.starter, task.trusted, task.attempt) == ("ada", False, 2)
    assert world.platform.distrust(task) is None


def test_a_ticket_of_another_project_with_the_same_key_is_not_meant(world: World, talk: Talk) -> None:
    attempt = world.start()
    log = PostgresLog(world.platform.database)
    event = tasks.request_event(DEFAULT_TEAM, "github:other", "/github", "shop", title="Theirs")
    ticket = (world.arena.dialect, "acme/other", attempt.task.ticket_key or "")
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        other = tasks.create_task(connection, log, event=event, source="shop", title="Theirs", ticket=ticket)
    talk.say(attempt.task.ticket_key or "", Command.STOP)
    assert talk.obey() == [CommandState.DONE]
    assert _state(world, attempt).state == TaskState.CANCELLED
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        assert tasks.get_task(connection, other).state == TaskState.QUEUED
