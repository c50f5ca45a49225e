"""Tasks whose ticket is at a tracker, while the code is at a forge."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from assets.results import trackers
from assets.results.forges import distrust
from assets.results.trackers import NoTracker, open_tracker, shows_reports
from core import tasks
from core.attempts import Attempt
from core.commands import Command
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.forge.protocol import ForgeUnavailable
from core.work import VerdictKind
from tests.assets.results.conftest import World
from tests.tracker_arena import MemoryTicket, MemoryTracker

STATUSES = ("started:In Progress", "proposed:In Review", "merged:Done [SHOP]")

pytestmark = pytest.mark.parametrize("world", ["gitea"], indirect=True)


@pytest.fixture
def tracker(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryTracker]:
    """The project SHOP, linked to the source `shop`."""
    made = MemoryTracker()
    monkeypatch.setattr(trackers, "_tracker", lambda service, address, project, token: made)
    world.settings(jira_token=SecretStr("t"), ticket_statuses=STATUSES)
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO ticket_projects (team_id, service, project, source, address) "
            "VALUES (%s, 'jira', 'SHOP', 'shop', 'https://jira.example.org')",
            (DEFAULT_TEAM,),
        )
    yield made


def start(world: World, tracker: MemoryTracker, starter: tuple[str, str] | None = ("ada", "ada-id")) -> Attempt:
    log = PostgresLog(world.platform.database)
    event = tasks.request_event(DEFAULT_TEAM, f"jira:{uuid.uuid4()}", "/jira", "shop", title="It fails")
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        task = tasks.create_task(
            connection,
            log,
            event=event,
            source="shop",
            title="It fails",
            ticket=("jira", "SHOP", tracker.new_ticket()),
            starter=starter or (None, None),
        )
    return Attempt.claim(world.platform.database, DEFAULT_TEAM, task, 1, holder="run", seconds=300, max_claims=3)


def ticket_of(tracker: MemoryTracker, attempt: Attempt) -> MemoryTicket:
    assert attempt.task.ticket_key is not None
    return tracker.tickets[attempt.task.ticket_key]


def command(world: World, attempt: Attempt, what: Command, author: tuple[str, str] = ("ada", "ada-id")) -> uuid.UUID:
    made = uuid.uuid4()
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO commands (team_id, id, source, ticket_service, ticket_project, ticket_key, author, author_id, "
            "command) VALUES (%s, %s, 'shop', 'jira', 'SHOP', %s, %s, %s, %s)",
            (DEFAULT_TEAM, made, attempt.task.ticket_key, *author, what),
        )
    return made


def state_of(world: World, made: uuid.UUID) -> Any:
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        return connection.execute("SELECT state, outcome FROM commands WHERE id = %s", (made,)).fetchone()


def test_a_patch_goes_to_the_forge_and_the_ticket_shows_it(world: World, tracker: MemoryTracker) -> None:
    attempt = start(world, tracker)
    world.deliver()
    ticket = ticket_of(tracker, attempt)
    assert [c.text.partition("\n")[0] for c in ticket.comments] == ["Penstock is working on this issue."]
    assert [a.command for a in ticket.comments[0].actions] == ["stop"]
    assert ticket.status == "In Progress"

    world.conclude(attempt)
    for _ in range(3):
        world.deliver()
    [pull] = world.branch_pulls(attempt)
    [comment] = ticket.comments
    assert pull.url in comment.text
    assert comment.actions == ()
    assert ticket.status == "In Review"
    assert list(ticket.links) == [pull.url]


def test_a_merged_patch_moves_the_ticket_on(world: World, tracker: MemoryTracker) -> None:
    attempt = start(world, tracker)
    world.deliver()
    world.conclude(attempt)
    world.deliver()
    with world.platform.database.system() as connection:
        connection.execute(
            "INSERT INTO fates (team_id, task_id, attempt, target, fate, commit, head) "
            "SELECT team_id, task_id, attempt, target, 'merged unchanged', %s, %s FROM publications",
            ("a" * 40, "a" * 40),
        )
    world.deliver()
    ticket = ticket_of(tracker, attempt)
    assert ticket.status == "Done"
    assert "was merged unchanged" in ticket.comments[0].text


def test_a_ticket_that_a_person_moved_back_stays_there(world: World, tracker: MemoryTracker) -> None:
    attempt = start(world, tracker)
    world.deliver()
    ticket = ticket_of(tracker, attempt)
    ticket.status = "To Do"
    with world.platform.database.system() as connection:
        connection.execute("UPDATE status_comments SET wanted = wanted + 1")
    world.deliver()
    assert ticket.status == "To Do"


def test_a_killed_step_is_done_again(world: World, tracker: MemoryTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = start(world, tracker)
    move = MemoryTracker.move

    def lost(self: MemoryTracker, ticket: str, status: str) -> bool:
        move(self, ticket, status)
        raise ForgeUnavailable("the answer was lost")

    monkeypatch.setattr(MemoryTracker, "move", lost)
    world.deliver()
    monkeypatch.setattr(MemoryTracker, "move", move)
    world.deliver()
    assert ticket_of(tracker, attempt).status == "In Progress"
    with world.platform.database.system() as connection:
        steps = connection.execute("SELECT step, outcome FROM ticket_steps").fetchall()
        assert steps == [("started", "is In Progress")]
        assert connection.execute("SELECT written = wanted FROM status_comments").fetchone() == (True,)


def test_a_link_that_fails_keeps_no_ticket_from_being_moved(
    world: World, tracker: MemoryTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: MemoryTracker, ticket: str, url: str, title: str) -> None:
        raise ForgeUnavailable("no permission to link")

    attempt = start(world, tracker)
    world.deliver()
    world.conclude(attempt)
    monkeypatch.setattr(MemoryTracker, "link", refused)
    world.deliver()
    assert ticket_of(tracker, attempt).status == "In Review"
    with world.platform.database.system() as connection:
        assert connection.execute("SELECT last_error FROM status_comments").fetchone() == ("no permission to link",)


def test_a_report_without_a_patch_is_written_at_the_tracker(world: World, tracker: MemoryTracker) -> None:
    attempt = start(world, tracker)
    place = "jira:SHOP"
    assert shows_reports(world.platform, attempt.task, place)
    world.conclude(attempt, VerdictKind.FAIL, target=place)
    for _ in range(3):
        world.deliver()
    [comment] = ticket_of(tracker, attempt).comments
    assert "What was tried." in comment.text
    assert [a.command for a in comment.actions] == ["retry", "explain"]
    assert world.branch_pulls(attempt) == []


def test_commands_are_for_who_may_work_on_the_ticket(world: World, tracker: MemoryTracker) -> None:
    attempt = start(world, tracker)
    by_stranger = command(world, attempt, Command.STOP, ("eve", "eve-id"))
    by_member = command(world, attempt, Command.STOP)
    world.deliver()
    assert state_of(world, by_stranger) == ("ignored", "eve may not write to jira:SHOP")
    assert state_of(world, by_member)[0] == "done"
    texts = [c.text.partition(".")[0] for c in ticket_of(tracker, attempt).comments]
    assert "Stopped" in texts
    assert len(texts) == len(set(texts))


def test_the_starter_is_asked_for_at_the_tracker(world: World, tracker: MemoryTracker) -> None:
    by_stranger = start(world, tracker, ("eve", "eve-id")).task
    assert "eve may not work on" in (distrust(world.platform, by_stranger) or "")
    assert distrust(world.platform, start(world, tracker).task) is None
    assert "does not say who" in (distrust(world.platform, start(world, tracker, None).task) or "")
    world.settings(jira_token=None)
    assert distrust(world.platform, by_stranger) is None


def test_a_tracker_without_a_token_is_left_alone(world: World, tracker: MemoryTracker) -> None:
    world.settings(jira_token=None)
    attempt = start(world, tracker)
    stop = command(world, attempt, Command.STOP)
    world.deliver()
    assert ticket_of(tracker, attempt).comments == []
    assert state_of(world, stop) == ("ignored", "there is no token for jira: set PENSTOCK_JIRA_TOKEN")
    with world.platform.database.system() as connection:
        assert connection.execute("SELECT last_error, tries FROM status_comments").fetchone() == (
            "there is no token for jira: set PENSTOCK_JIRA_TOKEN",
            0,
        )


def test_only_a_linked_project_is_written_to(world: World, tracker: MemoryTracker) -> None:
    with pytest.raises(NoTracker, match="not linked to source 'shop'"):
        open_tracker(world.platform, DEFAULT_TEAM, "shop", "jira:OTHER")
    with pytest.raises(NoTracker, match="not linked to source 'other'"):
        open_tracker(world.platform, DEFAULT_TEAM, "other", "jira:SHOP")
