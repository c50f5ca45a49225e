"""Code of teams in the sandbox: submitted, checked, let out, called; and what hostile code achieves."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.database import Database
from objects.catalogue import CodeRow
from objects.manifest import read_manifest
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
    assert kinds == {"load", "scenario", "answer", "repeat", "reading", "restart", "hostile"}
    assert body(call(code_node, "account/a", "add", '{"amount": 7}', id="x")) == {"total": 7}
    assert call(code_node, "account/a", "add", '{"amount": 7}', id="x").repeated
    assert body(call(code_node, "account/a", "total")) == {"total": 7}
    assert body(call(code_node, "account/a", "take", '{"amount": 8}'))["code"] == "too-much"
    with database.system() as connection:
        events = connection.execute("SELECT body -> 'data' ->> 'total' FROM event_log").fetchall()
    assert events == [("7",)]


def test_a_look_at_a_key_that_was_never_called_answers_from_the_initial_state(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int], database: Database
) -> None:
    let_in(ACCOUNT)
    for _ in range(2):
        reply = call(code_node, "account/new", "total")
        assert reply.ok and body(reply) == {"total": 0}
    with database.system() as connection:
        assert connection.execute("SELECT count(*) FROM objects").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM object_faults").fetchone() == (0,)


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
        (
            ACCOUNT.replace(
                "    if message", "    if message['key'] == 'never-called':\n        1 / 0\n    if message", 1
            ),
            "as the first call",
        ),
        ("import time\n" + ACCOUNT.replace("    amount =", "    time.sleep(60)\n    amount =", 1), "no answer within"),
    ],
    ids=["syntax", "no-handle", "schema", "globals", "reading", "scenario", "first", "slow"],
)
def test_code_that_breaks_a_promise_is_refused_with_the_reason(
    code_node: ThreadedNode, call: CallIt, let_out: Callable[..., CodeRow], source: str, reason: str
) -> None:
    code = let_out(source, scenarios=[SCENARIO])
    assert code.state == "refused" and code.verdict
    assert reason in " ".join(code.verdict["reasons"])
    assert call(code_node, "account/a", "add", '{"amount": 1}').code == "no-such-type"


def test_a_program_in_another_language_speaks_the_protocol_itself(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int]
) -> None:
    program = (
        "#!/bin/sh\n"
        "while read -r line; do\n"
        '  id=$(echo "$line" | sed \'s/^{"id": \\([0-9]*\\),.*/\\1/\')\n'
        '  echo "{\\"id\\": $id, \\"state\\": {\\"n\\": 1}, \\"result\\": \\"from a shell\\"}"\n'
        "done\n"
    )
    let_in(program, name="shell", manifest={"methods": {"go": {}}})
    for _ in range(2):
        assert body(call(code_node, "shell/a", "go", '{"x": 1}')) == "from a shell"
    let_in("#!/bin/sh\nwhile read -r line; do echo hello; done\n", name="rude", manifest={"methods": {"go": {}}})
    reply = call(code_node, "rude/a", "go", "1")
    assert reply.code == "fault" and "broke the protocol" in reply.body


def test_a_sharded_type_spreads_keys_and_tells_which_was_meant(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int], database: Database
) -> None:
    source = "def handle(state, message):\n    state[message['key']] = 1\n    return state, sorted(state)\n"
    manifest = {"initial": {}, "shards": 2, "methods": {"go": {}}}
    let_in(source, name="many", manifest=manifest)
    spec = read_manifest(manifest, "many", 1)
    seen: dict[str, Any] = {}
    for key in ("ada", "bob", "eve", "dan", "kim"):
        shard = spec.object_key(key)
        seen[shard] = body(call(code_node, f"many/{shard}", "go", "1", key=key))
    assert set(seen) == {"shard-0", "shard-1"}
    assert sorted(key for keys in seen.values() for key in keys) == ["ada", "bob", "dan", "eve", "kim"]


def test_a_stateless_type_runs_at_once_and_stores_nothing(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int], database: Database
) -> None:
    source = (
        "import time\ndef handle(state, message):\n    time.sleep(0.5)\n    return state, message['argument'] * 2\n"
    )
    let_in(source, name="double", manifest={"stateless": True, "methods": {"go": {}}})
    assert body(call(code_node, "double/a", "go", "1")) == 2
    began = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        replies = list(pool.map(lambda n: call(code_node, "double/a", "go", str(n)), range(3)))
    took = time.monotonic() - began
    assert [body(reply) for reply in replies] == [0, 2, 4] and took < 15
    with database.system() as connection:
        assert connection.execute("SELECT count(*) FROM objects").fetchone() == (0,)
