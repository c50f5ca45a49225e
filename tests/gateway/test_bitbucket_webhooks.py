"""Webhooks of Bitbucket Cloud: signed, of any documented kind, with missing people, and with names that change."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from core import tasks
from core.commands import Command
from core.credentials import Credentials
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.follow_ups import Feedback
from core.intake import ChangeIntent, ChecksIntent, NoIntent, RenameIntent, TicketIntent
from core.rules import read_rules
from core.signatures import sign_github, verify_bitbucket
from core.tickets.bitbucket import number_of
from gateway import bitbucket
from tests.gateway.bitbucket_cases import (
    ADA,
    BRANCH,
    EVE,
    KINDS,
    ROBOT,
    UUID,
    about,
    account,
    comment,
    inline,
    pull,
    pushed,
    repository,
    request,
    sample,
    status,
)
from tests.gateway.forge_cases import Stored, but, changes

RULES = read_rules((), None)
Send = Callable[..., Any]


@pytest.fixture
def send(client: TestClient, credentials: Credentials) -> Send:
    def sent(payload: Any, event: str = "pullrequest:created", delivery: str | None = None) -> Any:
        return client.request("POST", **request(credentials.bitbucket_secrets[0], payload, event, delivery))

    return sent


def _intent(event: str, payload: Any) -> Any:
    return bitbucket.normalise(event, payload, rules=RULES)


def _ticket(event: str, payload: Any) -> TicketIntent:
    found = _intent(event, payload)
    assert isinstance(found, TicketIntent)
    return found


def test_the_signature_is_the_one_of_atlassians_example() -> None:
    secret, body = "It's a Secret to Everybody", b"Hello World!"
    given = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    assert sign_github(secret, body) == given
    verify_bitbucket(["another", secret], body, given)


def test_two_secrets_are_valid_at_once_and_no_others(settings: Any, database: Any) -> None:
    from gateway.app import create_app

    known = Credentials("pst_x", ("a",), ("whsec_eHh4",), bitbucket_secrets=("new", "old"))
    client = TestClient(create_app(settings, database, known))
    for secret in known.bitbucket_secrets:
        assert client.request("POST", **request(secret, about())).status_code == 202
    forged = client.request("POST", **request("a", about()))
    assert (forged.status_code, forged.json()["code"]) == (401, "signature-wrong")
    unsigned = request("new", about())
    del unsigned["headers"]["X-Hub-Signature"]
    assert client.request("POST", **unsigned).json()["code"] == "signature-missing"
    other = request("new", about())
    other["content"] += b" "
    assert client.request("POST", **other).json()["code"] == "signature-wrong"


@pytest.mark.parametrize("known", [True, False])
def test_every_kind_is_accepted(send: Send, stored: Stored, add_source: Callable[..., None], known: bool) -> None:
    if known:
        add_source("shop", "acme/shop")
    kinds = (*KINDS, "pullrequest:something_new", "repo:odd", "x", ":")
    answers = {kind: send(sample(kind), kind) for kind in kinds}
    assert {kind: answer.status_code for kind, answer in answers.items()} == dict.fromkeys(kinds, 202)
    assert stored("SELECT count(*) FROM deliveries") == [(len(kinds),)]
    assert stored("SELECT count(*) FROM tasks") == [(0,)]
    assert "August 2026" in answers["issue:created"].json()["reason"]
    assert answers["repo:fork"].json()["reason"] == "repo:fork starts no work"


def test_a_pull_request_and_its_comment_are_changes_of_a_ticket(
    client: TestClient, send: Send, add_source: Callable[..., None]
) -> None:
    add_source("shop", "acme/shop")
    send(about())
    send(about(comment=comment()), "pullrequest:comment_created")
    opened, commented = changes(client)
    assert (opened.service, opened.project, opened.key, opened.kind) == (
        "bitbucket",
        "acme/shop",
        "!7",
        "pull request",
    )
    assert opened.ticket is not None
    assert (opened.ticket.author, opened.ticket.author_id, opened.ticket.state) == ("ada", ADA["uuid"], "open")
    assert opened.ticket.body == "It was 1.\n\n<!-- penstock task=x attempt=1 -->"
    assert str(opened.ticket.updated_at) == "2026-03-01 10:00:00.654321+00:00"
    assert commented.comment is not None
    assert (commented.comment.id, commented.comment.author, commented.comment.author_id) == (
        "419169807",
        "eve",
        EVE["uuid"],
    )


def test_a_delivery_that_is_attempted_again_changes_nothing(send: Send, stored: Stored) -> None:
    assert [send(about(), delivery="d1").status_code for _ in range(3)] == [202, 200, 200]
    assert send(about(), delivery="d2").status_code == 202, "another hook's"
    assert stored("SELECT id, duplicates FROM deliveries ORDER BY id") == [("bitbucket:d1", 2), ("bitbucket:d2", 0)]


@pytest.mark.parametrize(
    ("sent", "state", "status"),
    [
        ({"state": "MERGED", "merge_commit": {"hash": "b" * 12}}, "merged", "merged"),
        ({"state": "DECLINED"}, "closed", "declined"),
        ({"state": "SUPERSEDED"}, "closed", "superseded"),
        ({"state": "QUEUED"}, None, "queued"),
    ],
)
def test_states_of_pull_requests(sent: dict[str, Any], state: str | None, status: str) -> None:
    ticket = _ticket("pullrequest:updated", about(pull(**sent))).change.ticket
    assert ticket is not None
    assert (ticket.state, ticket.status, ticket.commit) == (state, status, None)


def test_people_who_are_gone_are_nobody(send: Send, add_source: Callable[..., None], client: TestClient) -> None:
    add_source("shop", "acme/shop")
    gone = about(pull(author=None, source=None, description=None), actor=None)
    gone["comment"] = comment("/penstock stop", user=None)
    assert send(gone, "pullrequest:comment_created").status_code == 202
    [change] = changes(client)
    assert change.comment is not None
    assert change.ticket is not None
    assert (change.comment.author, change.comment.author_id, change.ticket.author) == (None, None, None)


@pytest.mark.parametrize(
    ("user", "found"),
    [(EVE, (Command.RETRY,)), (ROBOT, ()), (account("x", 9, type="team"), ()), (account("x[bot]", 9), ())],
)
def test_commands_are_those_of_people(user: Any, found: tuple[Command, ...]) -> None:
    said = comment("Hm.\n\n/penstock retry\n", user=user)
    assert _ticket("pullrequest:comment_created", about(comment=said)).commands == found


@pytest.mark.parametrize("what", ["comment_updated", "comment_deleted", "comment_resolved"])
def test_edits_give_no_commands(what: str) -> None:
    assert _ticket(f"pullrequest:{what}", about(comment=comment("/penstock stop"))).commands == ()


def test_penstocks_own_comments_give_no_commands() -> None:
    own = comment("/penstock retry\n\n[//]: # (penstock answer=x)")
    assert _ticket("pullrequest:comment_created", about(comment=own)).commands == ()


def test_a_deleted_comment_is_deleted() -> None:
    change = _ticket("pullrequest:comment_deleted", about(comment=comment(""))).change
    assert change.comment is not None
    assert (change.comment.deleted, change.deleted) == (True, False)


def test_a_comment_on_a_line_is_answered_in_its_thread() -> None:
    found = _ticket("pullrequest:comment_created", about(comment=inline())).feedback
    page = "https://bitbucket.org/acme/shop/pull-requests/7/_/diff#comment-419169807"
    assert found == Feedback(
        "comment-419169807",
        BRANCH,
        "It must be 3.",
        "eve",
        EVE["uuid"],
        page,
        "419169807",
        "419169807",
        "m.py",
        4,
    )


@pytest.mark.parametrize("place", [{}, {"inline": {"path": "m.py", "to": 4}}])
def test_retry_in_a_thread_is_feedback_there(place: dict[str, Any]) -> None:
    said = comment("/penstock retry\nIt must be 4.", parent={"id": 60}, **place)
    intent = _ticket("pullrequest:comment_created", about(comment=said))
    assert intent.commands == ()
    assert intent.feedback is not None
    assert (intent.feedback.body, intent.feedback.thread, intent.feedback.remark) == ("It must be 4.", "60", None)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("comment_created", comment()),
        ("comment_created", inline(parent={"id": 60})),
        ("comment_created", inline(user=ROBOT)),
        ("comment_created", inline(user=None)),
        ("comment_created", inline(pending=True)),
        ("comment_created", inline("It is done.\n\n[//]: # (penstock answer=x)")),
        ("comment_created", inline(" \n")),
        ("comment_updated", inline()),
        ("comment_reopened", inline()),
    ],
)
def test_what_asks_for_nothing_is_no_feedback(event: str, said: dict[str, Any]) -> None:
    assert _ticket(f"pullrequest:{event}", about(comment=said)).feedback is None


def test_a_push_of_a_branch_refreshes_the_source() -> None:
    found = _intent("repo:push", pushed(("a" * 40, "b" * 40)))
    assert isinstance(found, ChangeIntent)
    assert found.data == {"ref": "refs/heads/main", "before": "a" * 40, "after": "b" * 40}
    assert found.target.repository == "acme/shop"


def test_of_several_pushed_branches_one_that_counts_is_found() -> None:
    several = pushed((None, "c" * 40), name=BRANCH)
    for more in (pushed(("a" * 40, None)), pushed((None, "b" * 40))):
        several["push"]["changes"] += more["push"]["changes"]
    found = _intent("repo:push", several)
    assert isinstance(found, ChangeIntent)
    assert found.data == {"ref": "refs/heads/main", "before": "0" * 40, "after": "b" * 40}


@pytest.mark.parametrize(
    "payload",
    [
        pushed(("a" * 40, None)),
        pushed((None, "b" * 40), name=BRANCH),
        pushed((None, "b" * 40), name="v1", kind="tag"),
        pushed(),
        pushed((None, None)),
        but(pushed(), "push.changes", None),
    ],
)
def test_tags_deleted_and_own_branches_refresh_nothing(payload: dict[str, Any]) -> None:
    assert isinstance(_intent("repo:push", payload), NoIntent)


@pytest.mark.parametrize("event", ["repo:commit_status_created", "repo:commit_status_updated"])
@pytest.mark.parametrize("more", [{}, {"commit": None}, {"links": None}])
def test_a_failed_build_of_our_branch_is_worth_a_look(event: str, more: dict[str, Any]) -> None:
    found = _intent(event, status(**more))
    assert isinstance(found, ChecksIntent)
    assert (found.service, found.project, found.branch, found.head) == ("bitbucket", "acme/shop", BRANCH, "a" * 40)


@pytest.mark.parametrize(
    "more",
    [
        {"state": "SUCCESSFUL"},
        {"state": "INPROGRESS"},
        {"state": "STOPPED"},
        {"refname": "main"},
        {"refname": None},
        {"refname": 3},
        {"commit": {"hash": "a" * 12}, "links": None},
    ],
)
def test_any_other_build_is_not(more: dict[str, Any]) -> None:
    assert isinstance(_intent("repo:commit_status_updated", status(**more)), NoIntent)


def test_a_source_follows_a_renamed_and_a_transferred_repository(
    send: Send, stored: Stored, add_source: Callable[..., None]
) -> None:
    add_source("shop", "acme/shop")
    renamed = {"repository": repository("Acme/Store"), "actor": ADA}
    renamed["changes"] = {"full_name": {"old": "Acme/Shop", "new": "Acme/Store"}, "name": {"old": "Shop", "new": "S"}}
    send(renamed, "repo:updated")
    assert stored("SELECT repository FROM sources") == [("acme/store",)]
    send({**about(), "repository": repository("acme/store")})
    assert stored("SELECT forge_repository_service, forge_repository_host, forge_repository_id FROM sources") == [
        ("bitbucket", "bitbucket.org", number_of(UUID))
    ]
    send({"repository": repository("Other/Store"), "actor": None}, "repo:transfer")
    assert stored("SELECT repository FROM sources") == [("other/store",)]
    send({**about(), "repository": repository("other/last")})
    assert stored("SELECT repository FROM sources") == [("other/last",)], "the id is known, whatever the event"


def test_another_repository_of_a_former_name_is_left_alone(
    send: Send, stored: Stored, add_source: Callable[..., None]
) -> None:
    add_source("shop", "acme/shop")
    send(about())
    stranger = repository("eve/shop", "{00000000-0000-4000-8000-000000000001}")
    assert send({**about(), "repository": stranger}).json()["status"] == "ignored"
    assert stored("SELECT repository FROM sources") == [("acme/shop",)]


@pytest.mark.parametrize(
    ("identity", "number"),
    [
        (UUID, 0x27BE90C8B8392F84),
        (UUID.strip("{}"), 0x27BE90C8B8392F84),
        ("x", None),
        ("{", None),
        (7, None),
        (None, None),
        ("0" * 5000, None),
    ],
)
def test_the_id_of_a_repository_is_a_number(identity: Any, number: int | None) -> None:
    assert number_of(identity) == number


@pytest.mark.parametrize("value", [3, [], {}, "{}", None])
@pytest.mark.parametrize("path", ["repository.uuid", "repository.links", "changes"])
def test_an_odd_id_or_change_is_none(path: str, value: Any) -> None:
    payload = but({"repository": repository(), "actor": ADA, "changes": {}}, path, value)
    if path == "changes" and not isinstance(value, dict | None):
        with pytest.raises(ValueError, match="changes"):
            _intent("repo:updated", payload)
        return
    assert isinstance(_intent("repo:updated", payload), NoIntent)
    found = _intent("repo:transfer", payload)
    assert isinstance(found, RenameIntent)
    assert (found.target.forge_id is None) == (path != "changes")


@pytest.mark.parametrize(
    ("event", "path", "value", "field"),
    [
        ("pullrequest:created", "pullrequest.id", "7", "pullrequest.id"),
        ("pullrequest:created", "pullrequest.title", None, "pullrequest.title"),
        ("pullrequest:created", "pullrequest.updated_on", "soon", "pullrequest.updated_on"),
        ("pullrequest:created", "pullrequest.author", [], "pullrequest.author"),
        ("pullrequest:created", "repository.full_name", "shop", "repository.full_name"),
        ("pullrequest:created", "repository", None, "repository.full_name"),
        ("pullrequest:comment_created", "comment", None, "comment.id"),
        ("pullrequest:comment_created", "comment.content", "x", "comment.content"),
        ("repo:push", "push.changes", [3], "push.changes.0"),
        ("repo:push", "push.changes", [{"new": {"name": "x", "target": {"hash": "b" * 12}}}], "after"),
    ],
)
def test_a_wrong_field_is_named(send: Send, event: str, path: str, value: Any, field: str) -> None:
    answer = send(but(sample(event), path, value), event)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_long_and_unstorable_texts_are_cut(client: TestClient, send: Send, add_source: Callable[..., None]) -> None:
    add_source("shop", "acme/shop")
    long = "\x00\ud800é" * 20_000
    said = comment(long, user=account("n" * 500, 4, type="AppUser"))
    assert send(about(pull(title=long), comment=said), "pullrequest:comment_created").status_code == 202
    [change] = changes(client)
    assert change.comment is not None
    assert len((change.comment.body or "").encode()) < 66_000
    assert (change.comment.author or "").endswith("[bot]")


def test_reviews_commands_and_failed_builds_reach_the_task_of_the_branch(
    send: Send, stored: Stored, add_source: Callable[..., None], database: Any
) -> None:
    add_source("shop", "acme/shop")
    log = PostgresLog(database)
    with database.team(DEFAULT_TEAM) as connection:
        event = tasks.request_event(DEFAULT_TEAM, "jira:1", "/jira", "shop", title="It fails")
        task = tasks.create_task(connection, log, event=event, source="shop", title="It fails")
    ours = pull(source={"branch": {"name": f"penstock/{task}"}})
    for _ in range(2):
        send(about(ours, comment=inline()), "pullrequest:comment_created")
        send(about(ours, comment=comment("/penstock stop", id=8)), "pullrequest:comment_created")
        send(status(refname=f"penstock/{task}"), "repo:commit_status_updated")
    assert stored("SELECT kind, task_id, ticket_key, remark, author_id, head FROM feedback ORDER BY kind") == [
        ("checks", task, None, None, None, "a" * 40),
        ("remark", task, "!7", "419169807", EVE["uuid"], None),
    ]
    assert stored("SELECT ticket_key, author, author_id, command FROM commands") == [("!7", "eve", EVE["uuid"], "stop")]


def test_penstock_send_signs_as_bitbucket_does(client: TestClient, credentials: Credentials) -> None:
    from dagster_project.cli.send import _signed

    body = b"{}"
    headers = _signed(credentials, "bitbucket", "repo:fork", "d1", body) | {"Content-Type": "application/json"}
    answer = client.post("/webhooks/bitbucket", content=body, headers=headers)
    assert (answer.status_code, answer.json()["delivery"]) == (202, "bitbucket:d1")
