"""Jira as a tracker: what it does when an answer is lost, a process is killed, or the token lacks a permission."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.commands import find_commands
from core.forge.jira import MOST_BODY, JiraTracker, shown
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.forge.tracker import TrackerForge
from core.rules import mentioned
from deploy.fake_forge import jira_shapes
from tests.killed_requests import killed_between_requests
from tests.tracker_arena import JiraArena

PATCH = "https://git.example.org/acme/shop/pulls/7"
EACH = pytest.mark.parametrize("arena", [True, False], indirect=True, ids=["cloud", "data center"])
CLOUD = pytest.mark.parametrize("arena", [True], indirect=True, ids=["cloud"])


@pytest.fixture
def arena(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[JiraArena]:
    made = JiraArena(tmp_path, cloud=request.param)
    yield made
    assert made.forge.failures == []
    made.stop()


@EACH
def test_a_comment_whose_answer_was_lost_is_found_again(arena: JiraArena) -> None:
    ticket, task = arena.new_ticket(), uuid.uuid4()
    arena.forge.add_fault("drop_after", method="POST", path="/comment")
    with pytest.raises(ForgeUnavailable):
        TrackerForge(arena.open()).note(ticket, task, "Working.")
    TrackerForge(arena.open()).note(ticket, task, "Working.")
    assert len(arena.ticket(ticket).comments) == 1
    assert not [w for w in arena.forge.writes if w.action == "ticket.comment.edit"], "nothing has changed"


@EACH
def test_killed_between_any_two_requests_there_is_one_of_each(arena: JiraArena) -> None:
    def everything(work: tuple[str, uuid.UUID]) -> None:
        ticket, task = work
        forge = TrackerForge(arena.open())
        forge.note(ticket, task, "A patch.")
        forge.link(ticket, PATCH, "Penstock's patch")
        forge.move(ticket, "In Progress")

    def new() -> tuple[str, uuid.UUID]:
        return arena.new_ticket(), uuid.uuid4()

    for number, (ticket, _) in killed_between_requests(arena.forge, new, everything, least=5):
        seen = arena.ticket(ticket)
        assert (len(seen.comments), seen.links, seen.status) == (1, (PATCH,), "In Progress"), f"killed at {number}"


@EACH
def test_a_mark_that_somebody_else_set_is_not_ours(arena: JiraArena) -> None:
    ticket, task = arena.new_ticket(), uuid.uuid4()
    arena.forge.say(ticket, "Mine.").properties["penstock"] = {"mark": f"status-{task}"}
    TrackerForge(arena.open()).note(ticket, task, "Ours.")
    assert [author for author, _ in arena.ticket(ticket).comments] == ["ada", arena.account]


@EACH
def test_comments_are_found_beyond_the_first_page_and_without_expanded_properties(
    arena: JiraArena, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket, task = arena.new_ticket(), uuid.uuid4()
    for number in range(150):
        arena.forge.say(ticket, f"Word {number}")
    TrackerForge(arena.open()).note(ticket, task, "Ours.")
    real = jira_shapes.comment
    monkeypatch.setattr(jira_shapes, "comment", lambda *given, expanded: real(*given, expanded=False))
    TrackerForge(arena.open()).note(ticket, task, "Ours, edited.")
    assert len(arena.ticket(ticket).comments) == 151


@EACH
def test_a_token_without_the_permission_to_ask_lets_nobody_in_and_says_what_it_lacks(arena: JiraArena) -> None:
    ticket = arena.new_ticket()
    arena.board.roles[arena.account] = "edit"
    with pytest.raises(ForgeUnavailable, match="Administer Projects"):
        arena.open().may_write(*arena.steady, ticket)
    with pytest.raises(ForgeUnavailable, match="lacks ADMINISTER_PROJECTS in project SHOP"):
        arena.open().check()
    arena.board.roles[arena.account] = "read"
    with pytest.raises(ForgeUnavailable, match="lacks ADD_COMMENTS"):
        arena.open().check()


@CLOUD
def test_cloud_is_asked_about_one_person_where_the_token_may(arena: JiraArena) -> None:
    arena.board.roles[arena.account] = "site"
    for ticket in (arena.new_ticket(), None):
        assert arena.open().may_write(*arena.steady, ticket)
        assert not arena.open().may_write(*arena.stranger, ticket)
    assert not [one for one in arena.forge.requests if "permission/search" in one.path]


@EACH
def test_programs_and_the_token_s_own_account_are_not_people(arena: JiraArena) -> None:
    ticket = arena.new_ticket()
    own = jira_shapes.identity(arena.board, arena.forge.add_user(arena.account))
    assert not arena.open().may_write(arena.account, own, ticket)
    if arena.board.cloud:
        app = arena.forge.add_user("automation", is_bot=True)
        arena.board.roles["automation"] = "admin"
        assert not arena.open().may_write("automation", jira_shapes.identity(arena.board, app), ticket)


@EACH
def test_the_project_itself_can_be_asked_about(arena: JiraArena) -> None:
    arena.open().check()
    assert arena.open().may_write(*arena.steady, None)
    assert not arena.open().may_write(*arena.stranger, None)


@EACH
def test_only_issues_of_the_project_are_written_to(arena: JiraArena) -> None:
    for key in ("OTHER-1", "SHOP-1/../OTHER-2", "shop-1", "SHOP-1?x="):
        with pytest.raises(PublicationRefused, match="not the key of an issue of SHOP"):
            TrackerForge(arena.open()).note(key, uuid.uuid4(), "Hello.")
    assert not arena.forge.writes


@EACH
def test_a_token_that_is_refused_is_named_by_its_setting_and_not_shown(arena: JiraArena) -> None:
    tracker = JiraTracker(arena.forge.url, "SHOP", lambda: "bot:wrong-token", setting="PENSTOCK_JIRA_TOKEN")
    with pytest.raises(ForgeUnavailable, match="set PENSTOCK_JIRA_TOKEN") as trouble:
        tracker.check()
    assert "You are not authenticated" in str(trouble.value)
    assert "wrong-token" not in str(trouble.value)


@EACH
def test_a_busy_jira_gets_the_pause_that_it_asks_for(arena: JiraArena) -> None:
    arena.forge.add_fault("status", method="POST", path="/comment", status=429, headers={"Retry-After": "77"})
    ticket = arena.new_ticket()
    with pytest.raises(ForgeUnavailable) as trouble:
        TrackerForge(arena.open()).note(ticket, uuid.uuid4(), "Hello.")
    assert trouble.value.pause == 77.0
    assert arena.ticket(ticket).comments == ()


def test_a_text_that_grows_by_escaping_still_fits() -> None:
    body = shown("{x}[y]{z}[w]\n" * 1_500)
    assert len(body) <= MOST_BODY
    assert "the rest is stored with the task" in body


def test_our_own_comments_give_no_commands_and_mention_nobody() -> None:
    said = "```\n@penstock fix it\n```\n\n/penstock stop"
    assert find_commands(said)
    assert not find_commands(shown(said))
    assert not mentioned(shown(said))
