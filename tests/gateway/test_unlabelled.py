"""An issue without the trigger label starts nothing, and the answer says so."""

from typing import Any

import pytest

from core.intake import TicketIntent
from core.rules import read_rules
from gateway import github, gitlab


def _labelled(action: str, label: str | None) -> dict[str, Any]:
    return {
        "action": action,
        "issue": {"number": 7, "title": "It fails", "state": "open", "labels": []},
        "repository": {"id": 1, "full_name": "acme/shop", "name": "shop", "owner": {"login": "acme"}},
        "sender": {"login": "ada", "id": 3},
        **({"label": {"name": label}} if label else {}),
    }


@pytest.mark.parametrize(
    ("payload", "trigger", "said"),
    [
        (_labelled("labeled", "bug"), "penstock", "label 'bug' is not it"),
        (_labelled("opened", None), "penstock", "opened without"),
        (_labelled("edited", None), "penstock", None),
        (_labelled("labeled", "Penstock"), "penstock", None),
        (_labelled("labeled", "bug"), None, None),
    ],
)
def test_github_says_why(payload: dict[str, Any], trigger: str | None, said: str | None) -> None:
    intent = github.normalise("issues", payload, rules=read_rules((), trigger))
    assert isinstance(intent, TicketIntent)
    assert said in (intent.reason or "") if said else intent.reason is None


def test_gitlab_says_why() -> None:
    payload = {
        "object_kind": "issue",
        "user": {"id": 3, "username": "ada"},
        "project": {"id": 1, "path_with_namespace": "acme/shop", "web_url": "https://example.org/acme/shop"},
        "object_attributes": {"iid": 7, "title": "It fails", "state": "opened", "action": "open"},
    }
    intent = gitlab.normalise(payload, rules=read_rules((), "penstock"))
    assert isinstance(intent, TicketIntent)
    assert "opened without" in (intent.reason or "")
