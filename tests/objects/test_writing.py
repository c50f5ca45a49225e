"""Services that a chat model writes: drafts that fail are told why, and only what the gate passes is handed in."""

import json
from typing import Any

import pytest

from core.chat import ChatUnavailable, open_chat_spec
from objects.custom.writing import write
from tests.objects.code_cases import ACCOUNT, MANIFEST, SCENARIO

pytestmark = pytest.mark.services

WRONG = ACCOUNT.replace("amount > state", "amount > 3 * state")


def _drafts(chat_server: Any, *drafts: Any) -> list[Any]:
    """Lets the model hand in these drafts one after the other; returns the requests that it gets."""
    given = iter(drafts)

    def script(request: Any) -> Any:
        return chat_server.reply(next(given))

    chat_server.script = script
    return list(chat_server.requests)


def _draft(source: str, manifest: Any = MANIFEST, scenarios: Any = ()) -> str:
    return json.dumps({"source": source, "manifest": json.dumps(manifest), "scenarios": json.dumps(list(scenarios))})


def test_a_draft_is_corrected_by_what_the_gate_said(chat_server: Any, sandbox: Any) -> None:
    _drafts(
        chat_server,
        "this is no JSON",
        _draft(ACCOUNT, {"methods": {"add": {"argument": {"pattern": "x"}}}}),
        _draft(WRONG),
        _draft(ACCOUNT, scenarios=[{"name": "own", "steps": [{"call": "total", "answer": {"total": 0}}]}]),
    )
    steps: list[str] = []
    found = write(
        open_chat_spec(chat_server.spec()), sandbox, "account", "An account.", [SCENARIO], step=steps.append
    )  # fmt: skip
    assert found.passed and found.rounds == 4 and found.source == ACCOUNT
    assert [one["name"] for one in found.scenarios] == ["adds and takes", "own"]
    told = [request.turns[-1][1] for request in chat_server.requests]
    assert "An account." in told[0] and "adds and takes" in told[0]
    assert any("pattern" in text for text in told) and any("scenario: adds and takes" in text for text in told)
    assert steps[-1] == "draft 4: passed"


def test_what_never_passes_is_not_handed_in(chat_server: Any, sandbox: Any) -> None:
    _drafts(chat_server, *[_draft(WRONG)] * 3)
    found = write(open_chat_spec(chat_server.spec()), sandbox, "account", "An account.", [SCENARIO], rounds=2)
    assert not found.passed and found.rounds == 2 and found.verdict
    assert "adds and takes" in found.verdict.reasons[0]


def test_a_model_that_is_away_is_no_draft(chat_server: Any, sandbox: Any) -> None:
    spec = chat_server.spec(retries=0)
    chat_server.stop()
    with pytest.raises(ChatUnavailable):
        write(open_chat_spec(spec), sandbox, "account", "An account.")
