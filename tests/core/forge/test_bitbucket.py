"""What is particular to Bitbucket Cloud: two kinds of tokens, identities without logins, and its Markdown."""

import base64
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.forge.addresses import api_address
from core.forge.bitbucket import BitbucketHost
from core.forge.bitbucket_access import api_token, authorization, credential_of, git_credential
from core.forge.conformance import publication
from core.forge.host import NewPull, PullState
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.git import Credential
from tests.forge_arena import BOT, REPOSITORY, FakeArena, git

CREATES = r"/pullrequests$"


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[FakeArena]:
    made = FakeArena(tmp_path, "bitbucket")
    yield made
    unknown = made.forge.unknown
    made.stop()
    assert unknown == []


def _id(arena: FakeArena, login: str) -> str:
    return arena.user_id(arena.forge.add_user(login))


@pytest.mark.parametrize(
    ("token", "header", "for_git"),
    [
        ("ATCTT3x=1", "Bearer ATCTT3x=1", Credential("x-token-auth", "ATCTT3x=1")),
        (
            "ada@example.org:ATATT3x",
            f"Basic {base64.b64encode(b'ada@example.org:ATATT3x').decode()}",
            Credential("x-bitbucket-api-token-auth", "ATATT3x"),
        ),
    ],
)
def test_each_kind_of_token_is_given_as_bitbucket_takes_it(token: str, header: str, for_git: Credential) -> None:
    credential = credential_of(token)
    assert api_token(credential) == token
    assert authorization(token) == header
    assert git_credential(credential) == for_git


def test_other_user_names_belong_to_access_tokens() -> None:
    for name in ("x-token-auth", "x-bitbucket-api-token-auth", "ada"):
        credential = Credential(name, "secret")
        assert (api_token(credential), git_credential(credential)) == ("secret", credential)


def test_the_api_of_the_public_service_has_a_host_of_its_own() -> None:
    assert api_address("bitbucket", "https://bitbucket.org") == "https://api.bitbucket.org"
    assert api_address("bitbucket", "http://127.0.0.1:7") == "http://127.0.0.1:7"
    assert api_address("github", "https://github.com") == "https://api.github.com"
    assert api_address("gitlab", "https://gitlab.com") == "https://gitlab.com"


def test_a_persons_token_finds_that_persons_comments(arena: FakeArena) -> None:
    token = f"robot@example.org:{arena.forge.add_token('robot')}"
    arena.forge.grant(REPOSITORY, "robot", "write")
    ticket, task = arena.new_ticket(), uuid.uuid4()
    host = arena.host(token)
    assert host.login() == _id(arena, "robot")
    first = arena.open(token=token).note(ticket, task, "Working.")
    [(author, text)] = arena.comments(ticket)
    assert author == "robot"
    arena.say(ticket, text)
    assert arena.open(token=token).note(ticket, task, "Done.") == first
    assert [said.partition("\n")[0] for _, said in arena.comments(ticket)] == ["Done.", "Working."]
    asked = [one for one in arena.forge.requests if one.path == "/2.0/user"]
    assert {one.status for one in asked} == {200}


def test_an_access_token_does_not_ask_who_it_is(arena: FakeArena) -> None:
    arena.open().check()
    arena.open().note(arena.new_ticket(), uuid.uuid4(), "Working.")
    assert [one for one in arena.forge.requests if one.path == "/2.0/user"] == []


def test_markers_are_not_shown_and_nothing_is_folded(arena: FakeArena) -> None:
    branch = "penstock/x"
    arena.commit(branch)
    body = (
        "Proven.\n\n<details><summary>Evidence</summary>\n\n## Gate\n\n</details>\n\nEnd.\n\n<!-- penstock task=x -->"
    )
    arena.host().create_pull(NewPull(branch, "main", "Fix", body, draft=False))
    [pull] = arena.pulls(branch)
    assert pull.body == "Proven.\n\n**Evidence**\n\n## Gate\n\nEnd.\n\n[//]: # (penstock task=x)"
    ticket = arena.new_ticket()
    made = arena.host().create_comment(ticket, "Working.\n\n<!-- penstock task=x status -->")
    assert made.body == "Working.\n\n<!-- penstock task=x status -->"
    assert arena.comments(ticket) == [(BOT, "Working.\n\n[//]: # (penstock task=x status)")]


def test_who_may_write_is_known_by_ids_and_not_by_names(arena: FakeArena) -> None:
    for login, right in (("ada", "write"), ("root", "admin"), ("bob", "read"), ("eve", "none")):
        arena.forge.grant(REPOSITORY, login, right)
    host = arena.host()
    may = {login: host.may_write(login, _id(arena, login)) for login in ("ada", "root", "bob", "eve", "stranger")}
    assert may == {"ada": True, "root": True, "bob": False, "eve": False, "stranger": False}
    assert not host.may_write("ada", None), "a name is nobody's alone"
    assert not host.may_write("ada", _id(arena, "bob"))


def test_only_the_permission_in_the_answer_counts(arena: FakeArena) -> None:
    nobody = {"permission": "write", "user": {"uuid": None, "account_id": None, "nickname": "ada"}}
    items = [nobody, {"permission": "write", "user": None}, {"permission": "read", "user": {"uuid": "{7}"}}]
    for _ in range(2):
        arena.forge.add_fault("status", method="GET", path="/permissions/", status=200, body={"values": items})
    assert not arena.host().may_write("ada", None)
    assert not arena.host().may_write("ada", "{7}")


def test_who_may_write_is_found_on_any_page(arena: FakeArena) -> None:
    for number in range(230):
        arena.forge.grant(REPOSITORY, f"writer-{number}", "write")
    assert arena.host().may_write("writer-229", _id(arena, "writer-229"))


def test_a_token_that_may_not_ask_for_permissions_is_told_so_and_nobody_may_write(arena: FakeArena) -> None:
    arena.forge.grant(REPOSITORY, "ada", "write")
    arena.forge.grant(REPOSITORY, BOT, "write")
    with pytest.raises(ForgeUnavailable, match="PENSTOCK_TOKEN to a token with the scope repository:admin"):
        arena.host().may_write("ada", _id(arena, "ada"))


def test_there_are_no_issues(arena: FakeArena) -> None:
    with pytest.raises(PublicationRefused, match="no issues since August 2026"):
        arena.host().create_comment("#7", "Hello")


def test_comments_of_all_pages_are_read_and_those_on_lines_are_left_out(arena: FakeArena) -> None:
    ticket = arena.new_ticket()
    number = arena.forge.repository(REPOSITORY).pulls[-1].number
    for index in range(120):
        arena.forge.add_comment(REPOSITORY, number, f"Comment {index}")
    arena.forge.add_remark(REPOSITORY, number, "On a line", path="m.py")
    arena.forge.add_comment(REPOSITORY, number, "The last")
    found = [comment.body for comment in arena.host().comments(ticket)]
    assert (len(found), found[-1]) == (121, "The last")


def _comment(number: int, parent: int | None = None, **more: Any) -> dict[str, Any]:
    above = {"parent": {"id": parent}} if parent else {}
    return {"id": number, "content": {"raw": f"{number}"}, "user": None, "inline": {"path": "m.py"}, **above, **more}


@pytest.mark.parametrize("asked", ["1", "2", "3"])
def test_a_thread_is_found_by_any_of_its_comments(arena: FakeArena, asked: str) -> None:
    items = [_comment(1), _comment(2, 1), _comment(3, 2), _comment(4), _comment(5, 4), _comment(6, 1, deleted=True)]
    arena.forge.add_fault("status", method="GET", path="/comments", status=200, body={"values": items})
    assert [one.id for one in arena.host().thread("!1", asked)] == ["1", "2", "3"]


def test_comments_that_answer_each_other_in_a_circle_end(arena: FakeArena) -> None:
    items = [_comment(1, 2), _comment(2, 1), _comment(3, 99)]
    for _ in range(2):
        arena.forge.add_fault("status", method="GET", path="/comments", status=200, body={"values": items})
    assert [one.id for one in arena.host().thread("!1", "3")] == ["3"]
    assert arena.host().thread("!1", "1")


@pytest.mark.parametrize("status", [400, 409])
def test_a_pull_request_that_is_refused_since_there_is_one_is_adopted(arena: FakeArena, status: int) -> None:
    wanted = publication(arena)
    arena.forge.add_fault("drop_after", method="POST", path=CREATES)
    with pytest.raises(ForgeUnavailable):
        arena.open().publish(wanted)
    said = {"type": "error", "error": {"message": "There is already an open pull request for these branches"}}
    arena.forge.add_fault("status", method="GET", path=r"/pullrequests\?", status=200, body={"values": []})
    arena.forge.add_fault("status", method="POST", path=CREATES, status=status, body=said)
    [pull] = arena.pulls(wanted.branch)
    assert arena.open().publish(wanted) == pull.url
    assert len(arena.pulls(wanted.branch)) == 1


@pytest.mark.parametrize("message", ["There are no changes to be pulled", "A pull request needs a title"])
def test_other_refusals_are_final(arena: FakeArena, message: str) -> None:
    wanted = publication(arena)
    said = {"type": "error", "error": {"message": message}}
    arena.forge.add_fault("status", method="POST", path=CREATES, status=400, body=said)
    with pytest.raises(PublicationRefused, match=message):
        arena.open().publish(wanted)


@pytest.mark.parametrize("body", [{}, {"values": None}, {"values": [3]}, [], {"message": "Sorry"}])
def test_an_answer_without_a_list_is_not_an_empty_one(arena: FakeArena, body: Any) -> None:
    wanted = publication(arena)
    arena.forge.add_fault("status", method="GET", path=r"/pullrequests\?", status=200, body=body)
    with pytest.raises(ForgeUnavailable, match="another format"):
        arena.open().publish(wanted)
    assert arena.pulls(wanted.branch) == []


def test_links_in_answers_are_not_followed(arena: FakeArena) -> None:
    body = {"values": [], "next": "http://127.0.0.1:9/steal"}
    arena.forge.add_fault("status", method="GET", path=r"/pullrequests\?", status=200, body=body)
    arena.open().publish(publication(arena))
    asked = [one.path for one in arena.forge.requests if "/pullrequests?" in one.path]
    assert [path.rpartition("&")[2] for path in asked] == ["page=1", "page=2"]


def test_every_state_of_a_pull_request_is_found(arena: FakeArena) -> None:
    branch = "penstock/x"
    arena.commit(branch)
    pull = arena.forge.add_pull(REPOSITORY, branch)
    assert [one.state for one in arena.host().pulls_of(branch)] == [PullState.OPEN]
    arena.close(branch)
    again = arena.forge.add_pull(REPOSITORY, branch)
    arena.forge.merge(REPOSITORY, again.number)
    found = arena.host().pulls_of(branch)
    assert [(one.key, one.state) for one in found] == [
        (f"!{again.iid}", PullState.MERGED),
        (f"!{pull.iid}", PullState.CLOSED),
    ]
    assert arena.host().pulls_of("penstock/y") == []


def test_a_repository_without_commits_has_no_branch_to_publish_for(arena: FakeArena) -> None:
    arena.forge.add_repository("acme/empty")
    host = BitbucketHost(arena.forge.url, "acme/empty", lambda: arena.token, setting="PENSTOCK_TOKEN")
    with pytest.raises(PublicationRefused, match="no main branch"):
        host.default_branch()


def test_a_stopped_build_has_ended_and_has_not_failed(arena: FakeArena) -> None:
    head = str(arena.head("main"))
    for name, conclusion in (("unit", "cancelled"), ("lint", "failure"), ("build", "success")):
        arena.forge.set_check(REPOSITORY, head, name, conclusion, "It says so.")
    found = arena.host().checks(head, "main")
    assert found.settled
    assert [(one.name, one.log) for one in found.failed] == [("lint", "It says so.")]
    assert git(arena.forge.repository(REPOSITORY).path, "rev-parse", "main").strip() == head
