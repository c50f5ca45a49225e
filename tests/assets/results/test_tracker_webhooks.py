"""A tracker's issue, the whole way: its webhook starts a task, the patch goes to the forge, and the issue shows it."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from assets.results.forges import access_problems, access_states, distrust
from core.attempts import Attempt
from core.credentials import Credentials, ensure_secrets
from core.database import Database
from core.events import DEFAULT_TEAM
from core.forge.protocol import PublicationRefused
from core.signatures import sign_gitea, sign_github
from deploy.fake_forge import jira_shapes, linear_shapes
from deploy.fake_forge.boards import Board, Said, Ticket
from gateway.app import create_app
from tests.assets.results.conftest import World

BOT = "penstock-tracker"
RULE, STATUSES = ("transition:In Progress", "mentioned:penstock [SHOP]"), ("proposed:In Review", "merged:Done")

pytestmark = pytest.mark.parametrize("world", ["gitea"], indirect=True)


@dataclass
class Site:
    """The project SHOP of a tracker, linked to the source `shop`, whose webhooks the gateway gets."""

    world: World
    service: str
    board: Board
    client: TestClient
    credentials: Credentials

    def send(self, payload: dict[str, Any]) -> None:
        body = json.dumps(payload).encode()
        headers = {"Content-Type": "application/json"} | (
            {"X-Hub-Signature": sign_github(self.credentials.jira_secrets[0], body)}
            if self.service == "jira"
            else {"Linear-Signature": sign_gitea(self.credentials.linear_secrets[0], body)}
        )
        headers |= {"X-Atlassian-Webhook-Identifier": str(uuid.uuid4()), "Linear-Delivery": str(uuid.uuid4())}
        answer = self.client.post(f"/webhooks/{self.service}", content=body, headers=headers)
        assert answer.status_code == 202, answer.text

    def add(self) -> Ticket:
        return self.world.arena.forge.add_ticket("SHOP", "x is too small", "It is 1.")

    def start(self, by: str = "ada") -> Ticket:
        """A person moves a new issue to In Progress."""
        forge, ticket = self.world.arena.forge, self.add()
        forge.move(ticket.key, "In Progress", author=by)
        who = forge.add_user(by)
        if self.service == "jira":
            self.send(jira_shapes.issue_event(forge.url, self.board, ticket, who, "To Do"))
        else:
            was = linear_shapes.moved(self.board, "To Do")
            self.send(linear_shapes.issue_event(forge.url, self.board, ticket, who, was))
        return ticket

    def say(self, ticket: Ticket, text: str, by: str) -> None:
        self.report(ticket, self.world.arena.forge.say(ticket.key, text, author=by))

    def report(self, ticket: Ticket, said: Said) -> None:
        shapes = jira_shapes if self.service == "jira" else linear_shapes
        self.send(shapes.comment_event(self.world.arena.forge.url, self.board, ticket, said))

    def claim(self, ticket: Ticket) -> Attempt:
        database = self.world.platform.database
        with database.team(DEFAULT_TEAM) as connection:
            [(task,)] = connection.execute("SELECT id FROM tasks WHERE ticket_key = %s", (ticket.key,)).fetchall()
        return Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="run", seconds=300, max_claims=3)

    def state(self, ticket: Ticket) -> str:
        with self.world.platform.database.team(DEFAULT_TEAM) as connection:
            [(found,)] = connection.execute("SELECT state FROM tasks WHERE ticket_key = %s", (ticket.key,)).fetchall()
        return str(found)

    def own_comments(self, ticket: Ticket) -> list[str]:
        return [comment.body for comment in ticket.comments if comment.author.login == BOT]


@pytest.fixture(params=["jira cloud", "jira data center", "linear"])
def site(request: pytest.FixtureRequest, world: World, database: Database) -> Iterator[Site]:
    forge, (service, _, edition) = world.arena.forge, request.param.partition(" ")
    board = forge.add_board("SHOP", cloud=edition != "data center")
    board.roles = {BOT: "admin", "ada": "edit", "eve": "read"}
    token = forge.add_token(BOT)
    token = f"bot@example.org:{token}" if edition == "cloud" else token
    world.settings(**{f"{service}_token": SecretStr(token)}, start_rules=RULE, ticket_statuses=STATUSES)
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO ticket_projects (team_id, service, project, source, address) VALUES (%s, %s, 'SHOP', 'shop', "
            "%s)",
            (DEFAULT_TEAM, service, forge.url),
        )
    credentials = ensure_secrets(world.platform.settings, database)
    with TestClient(create_app(world.platform.settings, database, credentials)) as client:
        yield Site(world, service, board, client, credentials)
    assert forge.failures == []


def test_an_issue_in_progress_becomes_a_patch_that_the_issue_shows(world: World, site: Site) -> None:
    ticket = site.start()
    attempt = site.claim(ticket)
    assert (attempt.task.title, attempt.task.body) == ("x is too small", "It is 1.")
    assert distrust(world.platform, attempt.task) is None
    world.conclude(attempt)
    for _ in range(3):
        world.deliver()
    [pull] = world.branch_pulls(attempt)
    [text] = site.own_comments(ticket)
    assert pull.url in text
    assert ticket.status == "In Review"
    assert [url for url, _ in ticket.links.values()] == [pull.url]

    site.report(ticket, ticket.comments[0])
    assert world.deliver() == []
    assert len(ticket.comments) == 1


def test_a_stranger_s_transition_starts_nothing(world: World, site: Site) -> None:
    attempt = site.claim(site.start(by="eve"))
    assert "eve may not work on SHOP-1" in (distrust(world.platform, attempt.task) or "")


def test_commands_are_obeyed_for_members_and_ignored_for_strangers(world: World, site: Site) -> None:
    ticket = site.start()
    site.say(ticket, "/penstock stop", by="eve")
    world.deliver()
    assert site.state(ticket) == "queued"
    site.say(ticket, "/penstock stop", by="ada")
    world.deliver()
    assert site.state(ticket) == "cancelled"
    assert len([text for text in site.own_comments(ticket) if text.startswith("Stopped.")]) == 1
    world.deliver()
    assert len(site.own_comments(ticket)) == 2, "the answer and the status"


def test_lost_after_any_request_and_delivered_again_there_is_one_of_each(world: World, site: Site) -> None:
    forge = world.arena.forge

    def conclude() -> tuple[Ticket, Attempt]:
        ticket = site.start()
        attempt = site.claim(ticket)
        world.conclude(attempt)
        return ticket, attempt

    conclude()
    before = len(forge.requests)
    world.deliver()
    requests = sum(request.dialect == site.service for request in forge.requests[before:])
    assert requests >= 6, "a comment, a link, a transition, and what is looked up before"
    for number in range(requests):
        ticket, attempt = conclude()
        forge.add_fault("drop_after", path="^(/rest/api/2|/graphql)", skip=number)
        for _ in range(3):
            world.deliver()
        forge.clear_faults()
        [pull] = world.branch_pulls(attempt)
        assert len(site.own_comments(ticket)) == 1, f"lost after request {number}"
        assert (ticket.status, [url for url, _ in ticket.links.values()]) == ("In Review", [pull.url])


def test_a_token_that_is_refused_is_said(world: World, site: Site) -> None:
    assert access_problems(world.platform, DEFAULT_TEAM, "shop") == []
    world.settings(**{f"{site.service}_token": SecretStr("wrong-token")})
    [problem] = access_problems(world.platform, DEFAULT_TEAM, "shop")
    assert problem.startswith(f"{site.service}:SHOP: ")
    assert "401" in problem
    assert "wrong-token" not in problem
    forge, tracker = access_states(world.platform, DEFAULT_TEAM, "shop")
    assert forge[1:] == ("ok", "answers, and knows the token"), "the forge is not blamed for the tracker's token"
    assert tracker[:2] == (f"{site.service} SHOP", "missing")
    assert "401" in tracker[2]
    world.settings(**{f"{site.service}_token": None})
    assert access_problems(world.platform, DEFAULT_TEAM, "shop") == []
    unset = access_states(world.platform, DEFAULT_TEAM, "shop")[1]
    assert unset[1] == "degraded"
    assert unset[2].startswith(f"PENSTOCK_{site.service.upper()}_TOKEN is not set: ")


def test_a_token_is_sent_by_https_only(world: World, site: Site, database: Database) -> None:
    task = site.claim(site.start()).task
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("UPDATE ticket_projects SET address = 'http://tracker.example.org'")
    [problem] = access_problems(world.platform, DEFAULT_TEAM, "shop")
    assert "by https only" in problem
    with pytest.raises(PublicationRefused, match="by https only"):
        distrust(world.platform, task)
