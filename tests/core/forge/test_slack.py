"""Slack's refusals, limits and lost answers, and who may work there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.forge.slack import SlackTracker, blocks
from core.forge.tracker import Action, TrackerForge
from deploy.fake_forge.chat import BOT, buttons
from tests.tracker_arena import SlackArena

MARK = "status-1"


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[SlackArena]:
    made = SlackArena(tmp_path)
    yield made
    assert made.forge.failures == []
    assert made.forge.unknown == []
    made.stop()


def refuse(arena: SlackArena, error: str, **more: Any) -> None:
    arena.forge.add_fault("status", status=200, body={"ok": False, "error": error, **more})


@pytest.mark.parametrize(
    ("error", "more", "kind", "said"),
    [
        ("invalid_auth", {}, ForgeUnavailable, "set PENSTOCK_SLACK_TOKEN"),
        ("token_revoked", {}, ForgeUnavailable, "set PENSTOCK_SLACK_TOKEN"),
        ("missing_scope", {"needed": "channels:history"}, ForgeUnavailable, "with the scope channels:history"),
        ("not_in_channel", {}, ForgeUnavailable, "invite the app to the channel C0SHOP"),
        ("channel_not_found", {}, ForgeUnavailable, "invite the app"),
        ("internal_error", {}, ForgeUnavailable, "internal_error"),
        ("ratelimited", {}, ForgeUnavailable, "ratelimited"),
        ("thread_not_found", {}, PublicationRefused, "thread_not_found"),
        ("is_archived", {}, PublicationRefused, "is_archived"),
        (None, {}, PublicationRefused, "no reason"),
        (["x"], {}, ForgeUnavailable, "another format"),
    ],
)
def test_each_refusal_says_what_to_do(
    arena: SlackArena, error: Any, more: dict[str, str], kind: type[Exception], said: str
) -> None:
    refuse(arena, error, **more)
    with pytest.raises(kind, match=said) as found:
        arena.open().find(arena.new_ticket(), MARK)
    assert arena.token not in str(found.value)
    assert getattr(found.value, "pause", None) == (60.0 if error == "ratelimited" else None)


def test_a_limit_is_waited_for(arena: SlackArena) -> None:
    arena.forge.add_fault("status", status=429, headers={"Retry-After": "45"}, body={"ok": False})
    with pytest.raises(ForgeUnavailable) as found:
        arena.open().find(arena.new_ticket(), MARK)
    assert found.value.pause == 45.0


@pytest.mark.parametrize(("kind", "more"), [("html", {}), ("redirect", {"location": "http://127.0.0.1:1/"})])
def test_an_answer_of_something_else_is_not_taken_for_slacks(
    arena: SlackArena, kind: str, more: dict[str, str]
) -> None:
    arena.forge.add_fault(kind, times=9, **more)
    with pytest.raises((ForgeUnavailable, PublicationRefused)):
        arena.open().find(arena.new_ticket(), MARK)


def test_a_lost_answer_leaves_one_message(arena: SlackArena) -> None:
    ticket = arena.new_ticket()
    arena.forge.add_fault("drop_after", path="chat.postMessage")
    with pytest.raises(ForgeUnavailable):
        arena.open().write(ticket, MARK, "Once.", ())
    held = arena.open().find(ticket, MARK)
    assert held is not None
    arena.open().edit(ticket, held, MARK, "Once, edited.", ())
    assert arena.ticket(ticket).comments == ((BOT, "Once, edited."),)


def test_a_mark_is_found_in_a_long_thread(arena: SlackArena) -> None:
    ticket = arena.new_ticket()
    for number in range(450):
        arena.say(ticket, f"{number}")
    written = arena.open().write(ticket, MARK, "Here.", ())
    assert arena.open().find(ticket, MARK) == written
    assert arena.open().find(ticket, "another") is None


def test_a_persons_metadata_is_not_a_mark(arena: SlackArena) -> None:
    ticket = arena.new_ticket()
    forged = {"event_type": "penstock_comment", "event_payload": {"mark": MARK}}
    arena.chat.say(arena.channel, "U0ADA", "ours", ticket, metadata=forged)
    for odd in (None, {"event_type": "penstock_comment"}, {"event_type": "penstock_comment", "event_payload": []}):
        arena.chat.say(arena.channel, BOT, "odd", ticket, metadata=odd)
    assert arena.open().find(ticket, MARK) is None


def test_a_message_shows_its_buttons_and_where_it_is(arena: SlackArena) -> None:
    ticket = arena.new_ticket()
    actions = (Action("approve", "Approve"), Action("explain", "Explain"))
    said = arena.open().write(ticket, MARK, "It waits: `/penstock approve` in a comment publishes it.", actions)
    message = arena.chat.thread(arena.channel, ticket)[-1]
    assert buttons(message) == ["approve", "explain"]
    assert "`@penstock approve`" in arena.ticket(ticket).comments[0][1]
    stamp = said.id.replace(".", "")
    assert said.url == f"https://acme.slack.com/archives/C0SHOP/p{stamp}?thread_ts={ticket}&cid=C0SHOP"
    arena.open().edit(ticket, said, MARK, "Published.", ())
    assert buttons(message) == []


@pytest.mark.parametrize("letter", ["<", "&", "a", "`", "é", "\n"])
def test_the_longest_text_fits_slacks_limits(arena: SlackArena, letter: str) -> None:
    ticket = arena.new_ticket()
    TrackerForge(arena.open())._write(ticket, MARK, "Begins. " + letter * 30_000, (Action("stop", "Stop"),))
    [(_, shown)] = arena.ticket(ticket).comments
    assert shown.startswith("Begins.")


@pytest.mark.parametrize(
    ("flags", "team", "may"),
    [
        ({}, "T0FAKE", True),
        ({}, "T0OTHER", False),
        ({"enterprise_user": {"teams": ["T0OTHER", "T0FAKE"]}}, "E0GRID", True),
        ({"enterprise_user": {"teams": ["T0OTHER"]}}, "E0GRID", False),
        ({"deleted": True}, "T0FAKE", False),
        ({"is_bot": True}, "T0FAKE", False),
        ({"is_restricted": True}, "T0FAKE", False),
        ({"is_ultra_restricted": True}, "T0FAKE", False),
        ({"is_stranger": True}, "T0FAKE", False),
        ({"is_workflow_bot": True}, "T0FAKE", False),
        ({"is_restricted": None}, "T0FAKE", False),
        ({"is_bot": "false"}, "T0FAKE", False),
    ],
)
def test_only_full_members_may_work(arena: SlackArena, flags: dict[str, Any], team: str, may: bool) -> None:
    arena.chat.add_member("U0BOB", "bob", team=team, **flags)
    assert arena.open().may_write("bob", "U0BOB", None) is may


def test_whoever_cannot_be_asked_about_may_not(arena: SlackArena) -> None:
    arena.chat.add_member("USLACKBOT", "slackbot")
    assert not arena.open().may_write("slackbot", "USLACKBOT", None)
    assert not arena.open().may_write("ada", "ada", None)
    refuse(arena, "fatal_error")
    with pytest.raises(ForgeUnavailable):
        arena.open().may_write("ada", "U0ADA", None)


def test_the_channel_is_checked(arena: SlackArena) -> None:
    arena.open().check()
    with pytest.raises(ForgeUnavailable, match="invite the app"):
        SlackTracker(arena.address, "C0NONE", lambda: arena.token).check()
    arena.chat.channels["C0SHOP"].joined = False
    with pytest.raises(ForgeUnavailable, match="invite the app"):
        arena.open().check()
    with pytest.raises(ForgeUnavailable, match="PENSTOCK_SLACK_TOKEN"):
        SlackTracker(arena.address, "C0SHOP", lambda: "forged").check()


def test_slack_makes_no_mentions_of_its_own() -> None:
    for block in blocks("For @here", ()):
        assert block["text"]["verbatim"] is True
    assert re.search("[^<]here", str(blocks("<!here>", ())))
