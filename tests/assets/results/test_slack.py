"""The whole way of a task of Slack's: a mention, a patch at the forge, the thread that shows it, buttons."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from assets.context.tickets.importing import ImportRefused, link_project, unlink_project
from assets.results.forges import distrust
from assets.sweeps.places import anything_due, list_places
from core.attempts import Attempt
from core.credentials import load_or_make
from core.events import DEFAULT_TEAM
from core.tickets import Service
from core.work import VerdictKind
from deploy.fake_forge.chat import BOT, Message, buttons, shown
from gateway.app import create_app
from tests.assets.results.conftest import World
from tests.gateway.slack_cases import CHANNEL, SECRET, click, clicked, event, signed
from tests.tracker_arena import SlackArena

pytestmark = pytest.mark.parametrize("world", ["gitea"], indirect=True)


class Desk:
    """A channel that is linked to the source `shop`, and what people do there."""

    def __init__(self, world: World, slack: SlackArena, gateway: TestClient) -> None:
        self.world = world
        self.slack = slack
        self.gateway = gateway

    def mention(self, text: str, user: str = "U0ADA") -> str:
        """Writes a message to the app, which reaches the gateway; returns the thread."""
        said = self.slack.chat.say(CHANNEL, user, f"<@{BOT}> {text}")
        assert self.gateway.request("POST", **signed(event(said.text, ts=said.ts, user=user))).status_code == 200
        return said.ts

    def click(self, value: str, thread: str, user: str = "U0ADA") -> None:
        assert value in [button for message in self.comments(thread) for button in buttons(message)]
        payload = click(value, thread, user)
        assert self.gateway.request("POST", **clicked(payload)).status_code == 200

    def attempt(self, thread: str, number: int = 1) -> Attempt:
        with self.world.platform.database.team(DEFAULT_TEAM) as connection:
            row = connection.execute("SELECT id FROM tasks WHERE ticket_key = %s", (thread,)).fetchone()
        assert row is not None
        database = self.world.platform.database
        return Attempt.claim(database, DEFAULT_TEAM, row[0], number, holder="run", seconds=300, max_claims=3)

    def comments(self, thread: str) -> list[Message]:
        return [message for message in self.slack.chat.thread(CHANNEL, thread) if message.user == BOT]

    def texts(self, thread: str) -> list[str]:
        return [shown(message).partition("\n")[0] for message in self.comments(thread)]


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    slack = SlackArena(tmp_path / "slack", CHANNEL)
    world.settings(slack_token=SecretStr(slack.token))
    link_project(world.platform.database, DEFAULT_TEAM, "shop", Service.SLACK, CHANNEL, slack.address)
    secrets = dataclasses.replace(load_or_make(world.platform.settings), slack_secrets=(SECRET,))
    with TestClient(create_app(world.platform.settings, world.platform.database, secrets)) as gateway:
        yield Desk(world, slack, gateway)
    assert slack.forge.failures == []
    assert slack.forge.unknown == []
    slack.stop()


def test_from_a_mention_to_a_patch_that_a_button_publishes(world: World, desk: Desk) -> None:
    world.settings(approval="all")
    thread = desk.mention("The total is wrong\nIt should be 2.")
    attempt = desk.attempt(thread)
    assert (attempt.task.title, attempt.task.body) == ("The total is wrong", "The total is wrong\nIt should be 2.")
    assert distrust(world.platform, attempt.task) is None
    world.deliver()
    assert desk.texts(thread) == ["Penstock is working on this issue."]
    assert buttons(desk.comments(thread)[0]) == ["stop"]

    world.conclude(attempt)
    for _ in range(2):
        world.deliver()
    assert world.branch_pulls(attempt) == []
    [comment] = desk.comments(thread)
    assert "waits for approval" in shown(comment)
    assert buttons(comment) == ["approve", "explain"]

    desk.click("approve", thread)
    for _ in range(3):
        world.deliver()
    [pull] = world.branch_pulls(attempt)
    comment, answer = desk.comments(thread)
    assert f"<{pull.url}>" in shown(comment)
    assert buttons(comment) == []
    assert shown(answer).startswith("Approved: the patch of task")
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT approved_by FROM publications").fetchone() == ("ada",)


def test_a_guest_starts_and_approves_nothing(world: World, desk: Desk) -> None:
    world.settings(approval="all")
    assert "may not work on" in (distrust(world.platform, desk.attempt(desk.mention("Do it", "U0EVE")).task) or "")
    thread = desk.mention("The total is wrong")
    attempt = desk.attempt(thread)
    world.conclude(attempt)
    for _ in range(2):
        world.deliver()
    desk.click("approve", thread, "U0EVE")
    world.deliver()
    assert world.branch_pulls(attempt) == []
    assert len(desk.comments(thread)) == 1
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT state, outcome FROM commands").fetchone() == (
            "ignored",
            f"ada may not write to slack:{CHANNEL}",
        )


def test_a_report_is_a_message_that_offers_another_try(world: World, desk: Desk) -> None:
    thread = desk.mention("The total is wrong")
    world.conclude(desk.attempt(thread), VerdictKind.FAIL, target=f"slack:{CHANNEL}")
    for _ in range(3):
        world.deliver()
    assert desk.texts(thread) == ["*It*"]
    assert buttons(desk.comments(thread)[0]) == ["retry", "explain"]
    desk.click("retry", thread)
    world.deliver()
    assert desk.attempt(thread, 2).key[1] == 2
    assert any(text.startswith("Queued attempt 2") for text in desk.texts(thread))


@pytest.mark.parametrize(
    "method", ["auth.test", "conversations.replies", "chat.postMessage", "chat.update", "users.info"]
)
def test_killed_after_any_request_there_is_one_message_of_each_kind(world: World, desk: Desk, method: str) -> None:
    thread = desk.mention("The total is wrong")
    attempt = desk.attempt(thread)
    desk.slack.forge.add_fault("drop_after", path=method, times=4)
    for _ in range(3):
        world.deliver()
    world.conclude(attempt)
    desk.slack.forge.add_fault("drop_after", path=method, times=4)
    for _ in range(4):
        world.deliver()
    [text] = desk.texts(thread)
    assert text.startswith("Penstock proposes a patch")
    assert len(world.branch_pulls(attempt)) == 1


def test_a_channel_is_linked_by_its_id_and_never_swept(world: World, desk: Desk) -> None:
    database = world.platform.database
    with pytest.raises(ImportRefused, match="named by its id"):
        link_project(database, DEFAULT_TEAM, "shop", Service.SLACK, "#general")
    with pytest.raises(ImportRefused, match="named by its id"):
        link_project(database, DEFAULT_TEAM, "shop", Service.SLACK)
    assert link_project(database, DEFAULT_TEAM, "shop", Service.SLACK, "C0NEW").address == "https://slack.com"
    assert all(place.service != "slack" for place in list_places(database))
    with database.system() as connection:
        connection.execute("DELETE FROM sources WHERE location NOT LIKE '/%' AND name <> 'shop'")
        connection.execute(
            "INSERT INTO sweeps (team_id, service, project, source, since, next_at) "
            "VALUES (%s, 'git', 'shop', 'shop', now(), now() + interval '1 day')",
            (DEFAULT_TEAM,),
        )
        assert not anything_due(connection)
        connection.execute(
            "INSERT INTO ticket_projects (team_id, service, project, source, address) "
            "VALUES (%s, 'linear', 'ENG', 'shop', 'https://linear.example.org')",
            (DEFAULT_TEAM,),
        )
        assert not anything_due(connection), "nor a team of Linear's"
    assert unlink_project(database, DEFAULT_TEAM, Service.SLACK, "C0NEW")
