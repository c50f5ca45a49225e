"""Webhooks of Linear: signatures, replays, and what its events say of an issue."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.credentials import Credentials
from core.signatures import sign_gitea
from deploy.fake_forge import FakeForge, linear, linear_shapes
from tests.gateway.forge_cases import Stored, but, changes

RULES = {
    "start_rules": ("transition:In Progress", "labelled:bug [SHOP]", "assigned:ada [SHOP]", "mentioned:bot [SHOP]")
}
Send = Callable[..., Any]


@pytest.fixture
def forge(tmp_path: Any) -> Iterator[FakeForge]:
    with FakeForge(tmp_path) as made:
        made.add_board("SHOP")
        yield made


@pytest.fixture
def send(credentials: Credentials) -> Send:
    def signed(client: TestClient, payload: Any, delivery: str = "", secret: str = "", **headers: str) -> Any:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        signature = sign_gitea(secret or credentials.linear_secrets[0], body)
        used = {"Linear-Signature": signature, "Linear-Delivery": delivery or str(uuid.uuid4())} | headers
        return client.post("/webhooks/linear", content=body, headers={"Content-Type": "application/json"} | used)

    return signed


def event(forge: FakeForge, was: dict[str, Any] | None = None, by: str = "ada", **fields: Any) -> dict[str, Any]:
    board = forge.state.board("SHOP")
    ticket = board.tickets[0] if board.tickets else forge.add_ticket("SHOP", "Total is wrong", "It should be 3.")
    for name, value in fields.items():
        setattr(ticket, name, value)
    return linear_shapes.issue_event("https://linear.app", board, ticket, forge.add_user(by), was)


def comment(forge: FakeForge, text: str, by: str = "ada") -> dict[str, Any]:
    board = forge.state.board("SHOP")
    ticket = board.tickets[0] if board.tickets else forge.add_ticket("SHOP", "Total is wrong", "It should be 3.")
    said = forge.say(ticket.key, text, author=by)
    return linear_shapes.comment_event("https://linear.app", board, ticket, said)


def test_an_issue_is_a_change_of_the_source_that_its_team_is_linked_to(
    client: TestClient, forge: FakeForge, send: Send, link: Callable[..., None], stored: Stored
) -> None:
    link("linear", "SHOP")
    payload = event(forge, labels=["bug"], assignee=forge.add_user("bob"), status="Done")
    answer = send(client, payload, "d1")
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted", "delivery": "linear:d1"})
    [change] = changes(client)
    ticket = change.ticket
    assert ticket is not None
    assert (change.service, change.project, change.key, change.action) == ("linear", "SHOP", "SHOP-1", "Issue.create")
    assert (ticket.title, ticket.body, ticket.state, ticket.status) == (
        "Total is wrong",
        "It should be 3.",
        "closed",
        "Done",
    )
    assert (ticket.labels, ticket.assignees, ticket.author) == (("bug",), ("bob",), "ada")
    assert ticket.url == "https://linear.app/acme/issue/SHOP-1"
    assert send(client, payload, "d1").status_code == 200
    assert stored("SELECT count(*) FROM tasks") == [(0,)], "an issue of a tracker needs a rule"


def test_an_unlinked_team_is_ignored_with_the_reason(client: TestClient, forge: FakeForge, send: Send) -> None:
    answer = send(client, event(forge)).json()
    assert (answer["status"], answer["reason"]) == ("ignored", "project SHOP of linear is not a configured source")


def test_comments_are_changes_with_their_author(
    client: TestClient, forge: FakeForge, send: Send, link: Callable[..., None], stored: Stored
) -> None:
    link("linear", "SHOP")
    assert send(client, comment(forge, "/penstock stop")).status_code == 202
    [change] = changes(client)
    assert change.comment is not None
    ada = linear.identity("user", forge.add_user("ada").id)
    assert (change.comment.body, change.comment.author, change.comment.author_id) == ("/penstock stop", "ada", ada)
    assert stored("SELECT command, author_id, ticket_service FROM commands") == [("stop", ada, "linear")]
    edited = comment(forge, "/penstock retry") | {"action": "update"}
    send(client, edited)
    send(client, but(comment(forge, "/penstock retry"), "data.user", None))
    assert stored("SELECT command FROM commands") == [("stop",)], "neither an edit nor a program gives commands"


@pytest.mark.parametrize(
    ("was", "fields", "started"),
    [
        (None, {}, 0),
        (None, {"labels": ["bug"]}, 1),
        ({"stateId": "former"}, {"status": "In Progress"}, 1),
        ({"stateId": "former"}, {"status": "Done"}, 0),
        ({"title": "Former"}, {"status": "In Progress", "labels": ["bug"]}, 0),
        ({"labelIds": []}, {"labels": ["bug"]}, 1),
        ({"labelIds": [linear.identity("label", "bug")]}, {"labels": ["bug", "ui"]}, 0),
    ],
)
def test_rules_look_at_what_an_update_changed(
    make_client: Callable[..., TestClient],
    forge: FakeForge,
    send: Send,
    link: Callable[..., None],
    stored: Stored,
    was: dict[str, Any] | None,
    fields: dict[str, Any],
    started: int,
) -> None:
    link("linear", "SHOP")
    send(make_client(**RULES), event(forge, was, **fields))
    assert stored("SELECT count(*) FROM tasks") == [(started,)]


def test_a_person_who_assigns_an_issue_starts_its_task(
    make_client: Callable[..., TestClient], forge: FakeForge, send: Send, link: Callable[..., None], stored: Stored
) -> None:
    link("linear", "SHOP")
    payload = event(forge, {"assigneeId": None}, by="bob", assignee=forge.add_user("ada"))
    send(make_client(**RULES), payload)
    assert stored("SELECT starter, ticket_key FROM tasks") == [("bob", "SHOP-1")]


def test_a_program_is_nobody_who_could_be_asked_about(
    make_client: Callable[..., TestClient], forge: FakeForge, send: Send, link: Callable[..., None], stored: Stored
) -> None:
    link("linear", "SHOP")
    payload = event(forge, {"stateId": "former"}, status="In Progress")
    send(make_client(**RULES), payload | {"actor": {"id": "1", "name": "ada", "type": "integration"}})
    assert stored("SELECT starter FROM tasks") == [(None,)]


def test_a_mention_in_a_comment_starts_work_on_the_issue_s_text(
    make_client: Callable[..., TestClient], forge: FakeForge, send: Send, link: Callable[..., None], stored: Stored
) -> None:
    from assets.context.tickets.apply import apply
    from core.events import DEFAULT_TEAM

    link("linear", "SHOP")
    client = make_client(**RULES)
    send(client, event(forge, {"title": "Former"}))
    database = client.app.state.gateway.database  # type: ignore[attr-defined]
    with database.team(DEFAULT_TEAM) as connection:
        [(source, change)] = [("shop", one) for one in changes(client)]
        apply(connection, DEFAULT_TEAM, source, change, change.ticket.updated_at)  # type: ignore[union-attr, arg-type]
    send(client, comment(forge, "@bot please"))
    assert stored("SELECT title, body, starter FROM tasks") == [("Total is wrong", "It should be 3.", "ada")]


def test_what_is_signed_wrongly_or_was_sent_long_ago_leaves_no_trace(
    client: TestClient, forge: FakeForge, send: Send, link: Callable[..., None], stored: Stored
) -> None:
    link("linear", "SHOP")
    payload = event(forge)
    assert send(client, payload, secret="other").json()["code"] == "signature-wrong"
    assert send(client, payload, **{"Linear-Signature": ""}).json()["code"] == "signature-missing"
    for seconds in (-301, 301):
        old = payload | {"webhookTimestamp": int((time.time() + seconds) * 1000)}
        assert send(client, old).json()["code"] == "timestamp-stale"
    for nonsense in (None, "now", True, [], 1e308, 10**400, -(10**400)):
        assert send(client, payload | {"webhookTimestamp": nonsense}).status_code in (400, 401)
    assert stored("SELECT count(*) FROM deliveries") == [(0,)]


def test_what_penstock_send_makes_of_a_payload_is_accepted(
    client: TestClient, credentials: Credentials, forge: FakeForge
) -> None:
    from dagster_project.cli.send import _sent_now, _signed

    body = _sent_now(json.dumps(event(forge) | {"webhookTimestamp": 1}).encode())
    headers = _signed(credentials, "linear", "", "d1", body) | {"Content-Type": "application/json"}
    answer = client.post("/webhooks/linear", content=body, headers=headers)
    assert (answer.status_code, answer.json()["delivery"]) == (202, "linear:d1")


def test_two_secrets_are_valid_at_once(client: TestClient, forge: FakeForge, send: Send) -> None:
    from dataclasses import replace

    gateway = client.app.state.gateway  # type: ignore[attr-defined]
    gateway.credentials = replace(gateway.credentials, linear_secrets=("new", "old"))
    for secret in ("new", "old"):
        assert send(client, event(forge), secret=secret).status_code == 202


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "Project"},
        {"type": "Reaction", "data": {"id": "1"}},
        {"type": "AppUserNotification", "action": "issueMention"},
        {"type": None},
        {"action": "restore"},
    ],
)
def test_every_other_kind_is_accepted_and_starts_nothing(
    client: TestClient, forge: FakeForge, send: Send, changed: dict[str, Any]
) -> None:
    answer = send(client, event(forge) | changed)
    assert (answer.status_code, answer.json()["status"]) == (202, "ignored")


def test_a_comment_on_a_document_is_ignored(client: TestClient, forge: FakeForge, send: Send) -> None:
    answer = send(client, but(comment(forge, "Hello"), "data.issue", None))
    assert answer.json()["reason"] == "Comment.create starts no work"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("data.identifier", "shop", "data.identifier"),
        ("data.identifier", "SHOP-1/../X-2", "data.identifier"),
        ("data.title", None, "data.title"),
        ("data.description", 3, "data.description"),
        ("data.labels", [7], "data.labels.0"),
        ("data.state", None, "data.state"),
        ("data.createdAt", "yesterday", "data.createdAt"),
        ("actor", 3, "actor"),
        ("data", [], "data"),
    ],
)
def test_a_wrong_field_is_named(
    client: TestClient, forge: FakeForge, send: Send, path: str, value: Any, field: str
) -> None:
    answer = send(client, but(event(forge), path, value))
    assert answer.status_code == 400
    assert field in answer.text


def test_an_issue_that_went_to_another_team_keeps_its_former_key(
    client: TestClient, forge: FakeForge, send: Send, link: Callable[..., None]
) -> None:
    link("linear", "SHOP")
    moved = but(event(forge, {"teamId": "former", "number": 4}), "data.previousIdentifiers", ["OLD-4"])
    send(client, moved)
    send(client, event(forge) | {"action": "remove"})
    first, second = changes(client)
    assert (first.moved_from, first.deleted, second.deleted) == ("OLD-4", False, True)
