"""Code of teams in the sandbox: submitted, checked, let out, called; and what hostile code achieves."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from core.database import Database
from objects.catalogue import CodeRow
from objects.model import Reply
from objects.node import ThreadedNode
from tests.objects.code_cases import ACCOUNT, SCENARIO

CallIt = Callable[..., Reply]


def body(reply: Reply) -> Any:
    return json.loads(reply.body)


def test_submitted_code_is_checked_let_out_and_called(
    code_node: ThreadedNode, call: CallIt, let_out: Callable[..., CodeRow], database: Database
) -> None:
    code = let_out(scenarios=[SCENARIO])
    assert (code.state, code.verdict and code.verdict["reasons"]) == ("accepted", [])
    assert code.verdict and code.verdict["sha256"] == code.sha256
    kinds = {one["kind"] for one in code.verdict["evidence"]["checks"]}
    assert kinds == {"load", "scenario", "answer", "repeat", "restart", "hostile"}
    assert body(call(code_node, "account/a", "add", '{"amount": 7}', id="x")) == {"total": 7}
    assert call(code_node, "account/a", "add", '{"amount": 7}', id="x").repeated
    assert body(call(code_node, "account/a", "total")) == {"total": 7}
    assert body(call(code_node, "account/a", "take", '{"amount": 8}'))["code"] == "too-much"
    with database.system() as connection:
        events = connection.execute("SELECT body -> 'data' ->> 'total' FROM event_log").fetchall()
    assert events == [("7",)]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def handle(state, message:\n", "load"),
        ("x = 1\n", "no function handle"),
        (ACCOUNT.replace('return state, {"total": state["total"]}', "return state, {}"), "does not fit its schema"),
        (
            "kept = [0]\n" + ACCOUNT.replace("total = state", "kept[0] += amount\n    total = kept[0] + 0 * state"),
            "outside the state",
        ),
        (ACCOUNT.replace('return state, {"total"', 'return {"total": 1}, {"total"'), "only reads"),
        (ACCOUNT.replace("amount > state", "amount > 3 * state"), "scenario"),
        ("import time\n" + ACCOUNT.replace("    amount =", "    time.sleep(60)\n    amount =", 1), "no answer within"),
    ],
    ids=["syntax", "no-handle", "schema", "globals", "reading", "scenario", "slow"],
)
def test_code_that_breaks_a_promise_is_refused_with_the_reason(
    code_node: ThreadedNode, call: CallIt, let_out: Callable[..., CodeRow], source: str, reason: str
) -> None:
    code = let_out(source, scenarios=[SCENARIO])
    assert code.state == "refused" and code.verdict
    assert reason in " ".join(code.verdict["reasons"])
    assert call(code_node, "account/a", "add", '{"amount": 1}').code == "no-such-type"
