"""A comment's commands reach the store from each forge's own payload, once, and only when the comment is written."""

from collections.abc import Mapping
from typing import Any

import pytest

from core.commands import Command
from core.intake import TicketIntent
from core.rules import read_rules
from gateway import gitea, github, gitlab

SAYS = "Not yet.\n\n/penstock retry\n"


def _github(action: str = "created", body: str = SAYS, login: str = "ada") -> dict[str, Any]:
    return {
        "action": action,
        "issue": {
            "number": 7,
            "title": "It fails",
            "state": "open",
            "html_url": "https://example.org/acme/shop/issues/7",
        },
        "comment": {
            "id": 70,
            "body": body,
            "user": {"login": login, "id": 3},
            "html_url": "https://example.org/acme/shop/issues/7#issuecomment-70",
            "created_at": "2026-01-02T03:04:05Z",
            "updated_at": "2026-01-02T03:04:05Z",
        },
        "repository": {"id": 1, "full_name": "acme/shop", "name": "shop", "owner": {"login": "acme"}},
        "sender": {"login": login, "id": 3},
    }


def _gitlab(action: str | None = "create", body: str = SAYS, login: str = "ada", **more: Any) -> dict[str, Any]:
    note = {"id": 70, "note": body, "noteable_type": "Issue", "author_id": 3, "url": "https://example.org/n#note_70"}
    note |= {"created_at": "2026-01-02 03:04:05 UTC", "updated_at": "2026-01-02 03:04:05 UTC"}
    return {
        "object_kind": "note",
        "event_type": "note",
        "user": {"id": 3, "name": login, "username": login},
        "project": {"id": 1, "path_with_namespace": "acme/shop", "web_url": "https://example.org/acme/shop"},
        "object_attributes": note | ({"action": action} if action else {}),
        "issue": {"iid": 7, "title": "It fails", "state": "opened"},
        **more,
    }


def _intent(service: str, payload: Mapping[str, Any]) -> TicketIntent:
    if service == "gitlab":
        intent = gitlab.normalise(payload, rules=read_rules((), None))
    else:
        module = github if service == "github" else gitea
        intent = module.normalise("issue_comment", payload, rules=read_rules((), None))
    assert isinstance(intent, TicketIntent)
    assert intent.task is None
    return intent


def _commands(service: str, payload: Mapping[str, Any]) -> tuple[Command, ...]:
    return _intent(service, payload).commands


@pytest.mark.parametrize("service", ["github", "gitea"])
@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (_github(), (Command.RETRY,)),
        (_github("edited"), ()),
        (_github("deleted"), ()),
        (_github(body="> /penstock retry"), ()),
        (_github(login="helper[bot]"), ()),
    ],
)
def test_a_new_comment_gives_commands(service: str, payload: Mapping[str, Any], found: tuple[Command, ...]) -> None:
    assert _commands(service, payload) == found


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (_gitlab(), (Command.RETRY,)),
        (_gitlab(None), (Command.RETRY,)),
        (_gitlab("update"), ()),
        (_gitlab(login="project_12_bot_ab"), ()),
        (_gitlab(event_type="confidential_note"), ()),
    ],
)
def test_a_new_note_gives_commands(payload: Mapping[str, Any], found: tuple[Command, ...]) -> None:
    assert _commands("gitlab", payload) == found


QUOTED = "> Which call fails?\n\nThis one:\n\n```\n> total 1\n```\n\n>>> total(1)\n2\n\n/penstock retry\n"


@pytest.mark.parametrize(
    ("service", "payload", "says"),
    [
        ("github", _github(body=QUOTED), "This one:\n\n```\n> total 1\n```\n\n>>> total(1)\n2"),
        ("gitea", _github(), "Not yet."),
        ("gitlab", _gitlab(), "Not yet."),
        ("github", _github("edited"), ""),
        ("github", _github(login="helper[bot]"), ""),
        ("github", _github(body="It is 3.\n\n<!-- penstock task=1 status -->"), ""),
        ("github", _github(body="x" * 100_000), "x" * 8000),
        ("gitlab", _gitlab("update"), ""),
    ],
)
def test_a_new_comment_says_what_is_no_command_and_no_quotation(
    service: str, payload: Mapping[str, Any], says: str
) -> None:
    assert _intent(service, payload).says == says
