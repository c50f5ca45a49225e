"""Code of teams in the sandbox: submitted, checked, let out, called; and what hostile code achieves."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.database import Database
from core.events import DEFAULT_TEAM
from objects.catalogue import CodeRow, read_code
from objects.custom.opened import TeamCode
from objects.model import Reply
from objects.node import ThreadedNode
from objects.submissions import Submission, submit

CallIt = Callable[..., Reply]

ACCOUNT = """
def handle(state, message):
    amount = message["argument"].get("amount", 0)
    if message["method"] == "total":
        return state, {"total": state["total"]}
    if message["method"] == "take" and amount > state["total"]:
        raise Refused("too-much", "there is not so much")
    total = state["total"] + (amount if message["method"] == "add" else -amount)
    return {"total": total}, {"total": total}, [{"kind": "emit", "type": "changed", "data": {"total": total}}]
"""
TOTAL = {
    "type": "object",
    "properties": {"total": {"type": "integer"}},
    "required": ["total"],
    "additionalProperties": False,
}
AMOUNT = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 1, "maximum": 1000}},
    "required": ["amount"],
    "additionalProperties": False,
}
MANIFEST: dict[str, Any] = {
    "description": "An account.",
    "initial": {"total": 0},
    "methods": {
        "add": {"argument": AMOUNT, "answer": TOTAL},
        "take": {"argument": AMOUNT, "answer": TOTAL},
        "total": {"reading": True, "answer": TOTAL, "argument": {"type": "object"}},
    },
}
SCENARIO = {
    "name": "adds and takes",
    "steps": [
        {"call": "add", "argument": {"amount": 5}, "answer": {"total": 5}},
        {"restart": True},
        {"call": "take", "argument": {"amount": 2}, "includes": {"total": 3}},
        {"call": "take", "argument": {"amount": 9}, "refused": "too-much"},
    ],
    "state": {"total": 3},
}


@pytest.fixture(scope="module")
def team_code(sandbox: Any) -> Iterator[TeamCode]:
    made = TeamCode(sandbox.name)
    made.close_for_good, made.close = made.close, lambda: None  # type: ignore[attr-defined,method-assign]
    yield made
    made.close_for_good()  # type: ignore[attr-defined]


@pytest.fixture
def node(make_node: Callable[..., ThreadedNode], team_code: TeamCode) -> ThreadedNode:
    return make_node(custom=team_code)


@pytest.fixture
def let_out(database: Database) -> Callable[..., CodeRow]:
    """Submits code and waits for the verdict."""

    def make(source: str = ACCOUNT, *, name: str = "account", percent: int = 20, **changed: Any) -> CodeRow:
        manifest = changed.pop("manifest", MANIFEST)
        with database.team(DEFAULT_TEAM) as connection:
            row = submit(
                connection,
                DEFAULT_TEAM,
                Submission(name, source, manifest, changed.pop("scenarios", []), "test", percent),
            )
        deadline = time.monotonic() + 90
        while True:
            with database.team(DEFAULT_TEAM) as connection:
                found = read_code(connection, name, row.version)
            assert found is not None
            if found.state != "submitted":
                return found
            assert time.monotonic() < deadline, "it was not checked"
            time.sleep(0.1)

    return make


def body(reply: Reply) -> Any:
    return json.loads(reply.body)


def test_submitted_code_is_checked_let_out_and_called(
    node: ThreadedNode, call: CallIt, let_out: Callable[..., CodeRow], database: Database
) -> None:
    code = let_out(scenarios=[SCENARIO])
    assert (code.state, code.verdict and code.verdict["reasons"]) == ("accepted", [])
    assert code.verdict and code.verdict["sha256"] == code.sha256
    kinds = {one["kind"] for one in code.verdict["evidence"]["checks"]}
    assert kinds == {"load", "scenario", "answer", "repeat", "restart", "hostile"}
    assert body(call(node, "account/a", "add", '{"amount": 7}', id="x")) == {"total": 7}
    assert call(node, "account/a", "add", '{"amount": 7}', id="x").repeated
    assert body(call(node, "account/a", "total")) == {"total": 7}
    assert body(call(node, "account/a", "take", '{"amount": 8}'))["code"] == "too-much"
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
    node: ThreadedNode, call: CallIt, let_out: Callable[..., CodeRow], source: str, reason: str
) -> None:
    code = let_out(source, scenarios=[SCENARIO])
    assert code.state == "refused" and code.verdict
    assert reason in " ".join(code.verdict["reasons"])
    assert call(node, "account/a", "add", '{"amount": 1}').code == "no-such-type"
