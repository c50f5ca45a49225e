"""A Jira issue, the whole way: its webhook starts a task, the patch goes to the forge, and the issue shows it."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from assets.results.forges import access_problems, distrust
from core.attempts import Attempt
from core.credentials import Credentials, ensure_secrets
from core.database import Database
from core.events import DEFAULT_TEAM
from core.signatures import sign_github
from deploy.fake_forge import jira_shapes
from deploy.fake_forge.boards import Board, Ticket
from gateway.app import create_app
from tests.assets.results.conftest import World

BOT = "penstock-jira"
RULE, STATUSES = ("transition:In Progress",), ("proposed:In Review", "merged:Done")

pytestmark = pytest.mark.parametrize("world", ["gitea"], indirect=True)


@dataclass
class Jira:
    """The project SHOP, linked to the source `shop`, whose webhooks the gateway gets."""

    world: World
    board: Board
    client: TestClient
    credentials: Credentials

    def send(self, payload: dict[str, Any]) -> None:
        body = json.dumps(payload).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Atlassian-Webhook-Identifier": str(uuid.uuid4()),
            "X-Hub-Signature": sign_github(self.credentials.jira_secrets[0], body),
        }
        answer = self.client.post("/webhooks/jira", content=body, headers=headers)
        assert answer.status_code == 202, answer.text

    def start(self, by: str = "ada") -> Ticket:
        """A person moves a new issue to In Progress."""
        forge = self.world.arena.forge
        ticket = forge.add_ticket("SHOP", "x is too small", "It is 1.")
        forge.move(ticket.key, "In Progress", author=by)
        self.send(jira_shapes.issue_event(forge.url, self.board, ticket, forge.add_user(by), "To Do"))
        return ticket

    def say(self, ticket: Ticket, text: str, by: str) -> None:
        forge = self.world.arena.forge
        said = forge.say(ticket.key, text, author=by)
        self.send(jira_shapes.comment_event(forge.url, self.board, ticket, said))

    def claim(self, ticket: Ticket) -> Attempt:
        database = self.world.platform.database
        with database.team(DEFAULT_TEAM) as connection:
            [(task,)] = connection.execute("SELECT id FROM tasks WHERE ticket_key = %s", (ticket.key,)).fetchall()
        return Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="run", seconds=300, max_claims=3)

    def own_comments(self, ticket: Ticket) -> list[str]:
        return [comment.body for comment in ticket.comments if comment.author.login == BOT]


@pytest.fixture(params=[True, False], ids=["cloud", "data center"])
def jira(request: pytest.FixtureRequest, world: World, database: Database) -> Iterator[Jira]:
    forge = world.arena.forge
    board = forge.add_board("SHOP", cloud=request.param)
    board.roles = {BOT: "admin", "ada": "edit", "eve": "read"}
    token = forge.add_token(BOT)
    token = f"bot@example.org:{token}" if board.cloud else token
    world.settings(jira_token=SecretStr(token), start_rules=RULE, ticket_statuses=STATUSES)
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO ticket_projects (team_id, service, project, source, address) VALUES (%s, 'jira', 'SHOP', "
            "'shop', %s)",
            (DEFAULT_TEAM, forge.url),
        )
    credentials = ensure_secrets(world.platform.settings, database)
    with TestClient(create_app(world.platform.settings, database, credentials)) as client:
        yield Jira(world, board, client, credentials)
    assert forge.failures == []


def test_an_issue_in_progress_becomes_a_patch_that_the_issue_shows(world: World, jira: Jira) -> None:
    ticket = jira.start()
    attempt = jira.claim(ticket)
    assert distrust(world.platform, attempt.task) is None
    world.conclude(attempt)
    for _ in range(3):
        world.deliver()
    [pull] = world.branch_pulls(attempt)
    [text] = jira.own_comments(ticket)
    assert f"[{pull.url}]" in text
    assert ticket.status == "In Review"
    assert [url for url, _ in ticket.links.values()] == [pull.url]

    jira.send(jira_shapes.comment_event(world.arena.forge.url, jira.board, ticket, ticket.comments[0]))
    assert world.deliver() == []
    assert len(ticket.comments) == 1


def test_a_stranger_s_transition_starts_nothing(world: World, jira: Jira) -> None:
    attempt = jira.claim(jira.start(by="eve"))
    assert "eve may not work on SHOP-1" in (distrust(world.platform, attempt.task) or "")


def test_commands_are_obeyed_for_members_and_ignored_for_strangers(world: World, jira: Jira) -> None:
    ticket = jira.start()

    def state() -> str:
        with world.platform.database.team(DEFAULT_TEAM) as connection:
            [(found,)] = connection.execute("SELECT state FROM tasks WHERE ticket_key = %s", (ticket.key,)).fetchall()
            return str(found)

    jira.say(ticket, "/penstock stop", by="eve")
    world.deliver()
    assert state() == "queued"
    jira.say(ticket, "/penstock stop", by="ada")
    world.deliver()
    assert state() == "cancelled"
    answers = [text for text in jira.own_comments(ticket) if text.startswith("Stopped.")]
    assert len(answers) == 1
    world.deliver()
    assert len(jira.own_comments(ticket)) == 2, "the answer and the status"


def test_lost_after_any_write_and_delivered_again_there_is_one_of_each(world: World, jira: Jira) -> None:
    forge = world.arena.forge

    def conclude() -> tuple[Ticket, Attempt]:
        ticket = jira.start()
        attempt = jira.claim(ticket)
        world.conclude(attempt)
        return ticket, attempt

    conclude()
    before = len(forge.requests)
    world.deliver()
    writes = sum(r.dialect == "jira" and r.method in ("POST", "PUT") for r in forge.requests[before:])
    assert writes >= 3, "a comment, a link, a transition"
    for number in range(writes):
        ticket, attempt = conclude()
        forge.add_fault("drop_after", path="/rest/api/2/issue", method="POST", skip=number)
        for _ in range(3):
            world.deliver()
        forge.clear_faults()
        [pull] = world.branch_pulls(attempt)
        assert len(jira.own_comments(ticket)) == 1, f"lost after write {number}"
        assert (ticket.status, [url for url, _ in ticket.links.values()]) == ("In Review", [pull.url])


def test_a_token_that_is_refused_is_said(world: World, jira: Jira) -> None:
    assert access_problems(world.platform, DEFAULT_TEAM, "shop") == []
    world.settings(jira_token=SecretStr("wrong-token"))
    [problem] = access_problems(world.platform, DEFAULT_TEAM, "shop")
    assert problem.startswith("jira:SHOP: ")
    assert "401" in problem
    assert "wrong-token" not in problem
    world.settings(jira_token=None)
    assert access_problems(world.platform, DEFAULT_TEAM, "shop") == []
