"""Publishing while the forge fails, while the process is killed, and without giving the token away."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.forge.conformance import publication
from core.forge.protocol import ForgeUnavailable, Publication, PublicationRefused
from core.work import VerdictKind
from tests.forge_arena import BOT, DIALECTS, REPOSITORY, FakeArena
from tests.killed_requests import killed_between_requests

CREATES = r"/(pulls|merge_requests|pullrequests)$"
COMMENTS = r"/(comments|notes)$"
EACH = pytest.mark.parametrize("arena", DIALECTS, indirect=True)


@pytest.fixture
def arena(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FakeArena]:
    made = FakeArena(tmp_path, request.param)
    yield made
    made.stop()


@EACH
def test_a_pull_request_whose_answer_was_lost_is_adopted(arena: FakeArena) -> None:
    wanted = publication(arena)
    arena.forge.add_fault("drop_after", method="POST", path=CREATES)
    with pytest.raises(ForgeUnavailable):
        arena.open().publish(wanted)
    [pull] = arena.pulls(wanted.branch)
    assert arena.open().publish(wanted) == pull.url
    assert len(arena.pulls(wanted.branch)) == 1


@EACH
def test_a_comment_whose_answer_was_lost_is_adopted(arena: FakeArena) -> None:
    ticket = arena.new_ticket()
    wanted = replace(publication(arena, ticket=ticket), patch=None)
    arena.forge.add_fault("drop_after", method="POST", path=COMMENTS)
    with pytest.raises(ForgeUnavailable):
        arena.open().comment(wanted)
    assert "#" in arena.open().comment(wanted)
    assert len(arena.comments(ticket)) == 1


def _everything(arena: FakeArena, wanted: Publication) -> None:
    forge = arena.open()
    url = forge.publish(wanted)
    assert wanted.ticket is not None
    forge.note(wanted.ticket, wanted.task_id, f"See {url}")


@EACH
def test_killed_between_any_two_requests_there_is_one_of_each(arena: FakeArena) -> None:
    def new() -> Publication:
        return publication(arena, ticket=arena.new_ticket())

    for number, wanted in killed_between_requests(arena.forge, new, lambda one: _everything(arena, one), least=6):
        assert len(arena.pulls(wanted.branch)) == 1, f"killed at request {number}"
        assert len(arena.comments(wanted.ticket or "")) == 1, f"killed at request {number}"


@EACH
@pytest.mark.parametrize(
    ("fault", "pause"),
    [
        ({"kind": "status", "status": 503}, None),
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "77"}}, 77.0),
        ({"kind": "status", "status": 403, "headers": {"Retry-After": "78"}}, 78.0),
        ({"kind": "status", "status": 403, "body": {"message": "You have exceeded a secondary rate limit."}}, 60.0),
        ({"kind": "status", "status": 429}, 60.0),
        ({"kind": "html"}, None),
        ({"kind": "drop_before"}, None),
    ],
    ids=lambda value: "-".join(str(part) for part in value.values()) if isinstance(value, dict) else "",
)
def test_a_forge_in_trouble_is_asked_again_later(
    arena: FakeArena, fault: dict[str, object], pause: float | None
) -> None:
    wanted = publication(arena)
    arena.forge.add_fault(method="POST", path=CREATES, **fault)  # type: ignore[arg-type]
    with pytest.raises(ForgeUnavailable) as trouble:
        arena.open().publish(wanted)
    assert trouble.value.pause == pause
    arena.open().publish(wanted)
    assert len(arena.pulls(wanted.branch)) == 1


@EACH
def test_a_redirect_is_not_followed(arena: FakeArena) -> None:
    wanted = publication(arena)
    arena.forge.add_fault("redirect", method="POST", path=CREATES, location="http://127.0.0.1:9/elsewhere")
    with pytest.raises((PublicationRefused, ForgeUnavailable)):
        arena.open().publish(wanted)
    assert arena.pulls(wanted.branch) == []


@EACH
def test_without_permission_the_remedy_is_named_and_the_token_is_not(
    arena: FakeArena, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reader = arena.forge.add_token("reader")
    arena.forge.grant(REPOSITORY, "reader", "read")
    wanted = publication(arena)
    for token in (reader, "not-a-token-at-all"):
        with pytest.raises(ForgeUnavailable) as trouble:
            arena.open(token=token).publish(wanted)
        assert "PENSTOCK_TOKEN" in str(trouble.value) or "credential" in str(trouble.value)
        assert token not in str(trouble.value)
    assert arena.pulls(wanted.branch) == []
    arena.open().publish(wanted)
    held = b"".join(path.read_bytes() for path in (arena.folder / "mirror.git").rglob("*") if path.is_file())
    for token in (reader, arena.token):
        assert token not in caplog.text
        assert token.encode() not in held


@EACH
def test_every_write_waits_for_its_turn(arena: FakeArena) -> None:
    ticket = arena.new_ticket()
    wanted = publication(arena, ticket=ticket)
    _everything(arena, wanted)
    writes = [w for w in arena.forge.writes if w.user == BOT and not w.action.startswith("branch")]
    api = [w for w in writes if w.dialect == arena.dialect]
    assert len(api) == 2, writes
    assert len(arena.waits) == 2
    _everything(arena, wanted)
    assert len(arena.waits) == 2, "what is there already needs no write"


@pytest.mark.parametrize("arena", ["github"], indirect=True)
def test_where_there_are_no_drafts_the_title_says_so(arena: FakeArena) -> None:
    wanted = publication(arena, VerdictKind.DRAFT)
    said = {"message": "Draft pull requests are not supported in this repository."}
    arena.forge.add_fault("status", method="POST", path=CREATES, status=422, body=said)
    arena.open().publish(wanted)
    [pull] = arena.pulls(wanted.branch)
    assert (pull.draft, pull.title) == (False, "Draft: Fix: x is too small")
