"""Linear as a tracker: lost answers, killed processes, and what it says when it refuses."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.forge.linear import LinearTracker
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.forge.tracker import TrackerForge
from deploy.fake_forge import linear
from tests.killed_requests import killed_between_requests
from tests.tracker_arena import LinearArena

PATCH = "https://git.example.org/acme/shop/pulls/7"


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[LinearArena]:
    made = LinearArena(tmp_path)
    yield made
    assert made.forge.failures == []
    made.stop()


def test_a_comment_whose_answer_was_lost_is_found_again(arena: LinearArena) -> None:
    ticket, task = arena.new_ticket(), uuid.uuid4()
    arena.forge.add_fault("drop_after", path="/graphql", skip=1)
    with pytest.raises(ForgeUnavailable):
        TrackerForge(arena.open()).note(ticket, task, "Working.")
    assert TrackerForge(arena.open()).note(ticket, task, "Working.")
    assert [write.action for write in arena.forge.writes] == ["ticket.comment"], "nothing has changed since"


def test_a_comment_cannot_be_written_twice(arena: LinearArena) -> None:
    ticket = arena.new_ticket()
    arena.open().write(ticket, "mark", "One.", ())
    with pytest.raises(PublicationRefused, match="already exists"):
        arena.open().write(ticket, "mark", "One.", ())
    assert len(arena.ticket(ticket).comments) == 1


def test_killed_between_any_two_requests_there_is_one_of_each(arena: LinearArena) -> None:
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


def test_programs_guests_and_the_token_s_own_account_are_not_members(arena: LinearArena) -> None:
    ticket = arena.new_ticket()
    app = arena.forge.add_user("automation", is_bot=True)
    arena.board.roles["automation"] = "edit"
    own = arena.forge.add_user(arena.account)
    for who in (app, own):
        assert not arena.open().may_write(who.login, linear.identity("user", who.id), ticket)


def test_only_issues_of_the_team_are_written_to(arena: LinearArena) -> None:
    for key in ("OTHER-1", "shop-1", str(uuid.uuid4())):
        with pytest.raises(PublicationRefused, match="not the key of an issue of SHOP"):
            TrackerForge(arena.open()).note(key, uuid.uuid4(), "Hello.")
        with pytest.raises(PublicationRefused, match="not the key of an issue of SHOP"):
            arena.open().move(key, "Done")
    assert not arena.forge.writes


def test_a_token_that_is_refused_is_named_by_its_setting_and_not_shown(arena: LinearArena) -> None:
    tracker = LinearTracker(arena.forge.url, "SHOP", lambda: "lin_api_wrong", setting="PENSTOCK_LINEAR_TOKEN")
    with pytest.raises(ForgeUnavailable, match="set PENSTOCK_LINEAR_TOKEN") as trouble:
        tracker.check()
    assert "AUTHENTICATION_ERROR" in str(trouble.value)
    assert "lin_api_wrong" not in str(trouble.value)


def test_a_team_that_the_token_does_not_see_is_named(arena: LinearArena) -> None:
    arena.open().check()
    arena.board.roles[arena.account] = "none"
    with pytest.raises(ForgeUnavailable, match="sees no team SHOP"):
        arena.open().check()


@pytest.mark.parametrize("status", [200, 400])
def test_a_busy_linear_is_left_alone_for_a_minute(arena: LinearArena, status: int) -> None:
    ticket = arena.new_ticket()
    body = {"errors": [{"message": "Rate limit exceeded", "extensions": {"code": "RATELIMITED"}}]}
    arena.forge.add_fault("status", path="/graphql", status=status, body=body)
    with pytest.raises(ForgeUnavailable, match="RATELIMITED") as trouble:
        TrackerForge(arena.open()).note(ticket, uuid.uuid4(), "Hello.")
    assert trouble.value.pause == 60.0


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ({"errors": [{"message": "No.", "extensions": {"code": "FORBIDDEN"}}]}, ForgeUnavailable, "set PENSTOCK"),
        ({"errors": [{"message": "No.", "extensions": {"code": "INPUT_ERROR"}}]}, PublicationRefused, "INPUT_ERROR"),
        ({"errors": [{"message": "Oh.", "extensions": None}]}, ForgeUnavailable, "no code"),
        ({"errors": "Oh."}, ForgeUnavailable, "another format"),
        ({"data": None}, ForgeUnavailable, "another format"),
        ([], ForgeUnavailable, "another format"),
        ({"data": {}}, ForgeUnavailable, "another format"),
        ({"data": {"comments": {"nodes": [{"id": 7}]}}}, ForgeUnavailable, "another format"),
        ("<html>", ForgeUnavailable, "not JSON"),
    ],
)
def test_an_answer_that_is_no_good_is_said(arena: LinearArena, body: object, kind: type[Exception], said: str) -> None:
    arena.forge.add_fault("status", path="/graphql", status=200, body=body, times=3)
    with pytest.raises(kind, match=said):
        TrackerForge(arena.open()).note(arena.new_ticket(), uuid.uuid4(), "Hello.")


def test_keys_and_tokens_are_sent_as_linear_wants_them(arena: LinearArena) -> None:
    arena.forge.state.tokens["lin_api_key"] = arena.forge.state.tokens[arena.token]
    for token in ("lin_api_key", arena.token):
        LinearTracker(arena.forge.url, "SHOP", lambda token=token: token, setting="X").check()  # type: ignore[misc]
