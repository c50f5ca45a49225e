"""Code that wants to do harm, run as if the gate had let it in: each attempt fails, says why, and harms nobody else."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from core.access.teams import add_team
from core.database import Database
from objects.model import Reply
from objects.node import ThreadedNode
from tests.objects.code_cases import ACCOUNT

pytestmark = pytest.mark.services

CallIt = Callable[..., Reply]
ANY: dict[str, Any] = {"initial": {"total": 0}, "methods": {"go": {}, "get": {"reading": True}}}

HANDLE = "def handle(state, message):\n    if message['method'] == 'get':\n        return state, state\n"
ATTEMPTS = {
    "fork bomb": (
        "import os\n" + HANDLE + "    while True:\n        os.fork()\n",
        "process|limit|no answer|exit|BlockingIO",
    ),
    "memory": (HANDLE + "    return {'x': bytearray(1 << 33) and 1}, None\n", "memory|limit|MemoryError|no answer"),
    "endless output": (
        "import sys\n" + HANDLE + "    while True:\n        sys.stderr.write('x' * 65536)\n",
        "limit|no ans",
    ),
    "endless loop": (HANDLE + "    while True:\n        pass\n", "no answer within|limit"),
    "state of 2 MiB": (HANDLE + "    return {'x': 'y' * (2 << 20)}, None\n", "the limit is 1,048,576"),
    "no JSON": (HANDLE + "    return {1, 2}, None\n", "not JSON"),
    "not a number": (HANDLE + "    return {'x': float('nan')}, None\n", "not JSON"),
    "a NUL": (HANDLE + "    return {'x': chr(0)}, None\n", "NUL"),
    "half a character": (HANDLE + "    return {'x': chr(0xd800)}, None\n", "broke the protocol|JSON"),
    "exit": ("import os\n" + HANDLE + "    os._exit(3)\n", "exit code 3"),
    "a reply before the state": (
        "import os\n" + HANDLE + '    os.write(3, b\'{"id": 1, "result": 1}\\n\')\n    return state, 1\n',
        "protocol|Bad file|ended|another",
    ),
    "a reading method that writes": (
        "def handle(state, message):\n    return {'total': 1}, 1\n",
        None,
    ),
    "an unknown effect": (
        HANDLE + "    return state, 1, [{'kind': 'blob', 'sha256': 'x', 'content': ''}]\n",
        "no kind",
    ),
    "a thousand effects": (HANDLE + "    return state, 1, [{'kind': 'terminate'}] * 1000\n", "at most 100"),
    "a message to itself": (
        HANDLE + "    return state, 1, [{'kind': 'send', 'type': 'bad', 'key': 'a', 'method': 'go', 'argument': 1}]\n",
        "cycle",
    ),
    "the network": (
        "import socket\n" + HANDLE + "    socket.create_connection(('1.1.1.1', 53), 2)\n    return state, 1\n",
        "OSError|unreachable|Error",
    ),
    "the host's files": (HANDLE + "    open('/etc/shadow').read()\n    return state, 1\n", "Error"),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_fails_and_the_state_is_what_it_was(
    name: str, code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int]
) -> None:
    source, reason = ATTEMPTS[name]
    let_in(source, name="bad", manifest=ANY)
    reply = call(code_node, "bad/a", "get" if reason is None else "go", "1", seconds=30)
    said = json.loads(reply.body)
    assert reply.code in ("fault", "refused"), (reply.code, said)
    words = f"{said['code']} {said['error']}"
    assert any(word in words for word in (reason or "only reads").split("|")), words
    if reason is not None:
        assert json.loads(call(code_node, "bad/a", "get", "1").body) == {"total": 0}


def test_a_line_that_nobody_asked_for_is_no_answer_to_the_next_call(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int]
) -> None:
    forged = (
        "import json, os, threading, time\n"
        "def late():\n"
        "    time.sleep(0.3)\n"
        "    for fd in range(3, 20):\n"
        "        for number in range(1, 9):\n"
        "            line = json.dumps({'id': number, 'state': {'total': 666}, 'result': 1})\n"
        "            try: os.write(fd, line.encode() + b'\\n')\n"
        "            except OSError: pass\n"
        "def handle(state, message):\n"
        "    threading.Thread(target=late).start()\n"
        "    return state, state\n"
    )
    let_in(forged, name="bad", manifest=ANY)
    assert call(code_node, "bad/a", "go", "1").ok
    time.sleep(0.8)
    reply = call(code_node, "bad/a", "go", "1")
    assert reply.code == "fault" and "nobody asked for" in reply.body
    assert json.loads(call(code_node, "bad/a", "get", "1").body) == {"total": 0}


def test_a_process_is_never_shared_between_teams(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int], database: Database
) -> None:
    with database.system() as connection:
        acme = add_team(connection, "acme").id
    kept = (
        "seen = []\ndef handle(state, message):\n    seen.append(message['argument'])\n    return state, list(seen)\n"
    )
    for team in (None, acme):
        let_in(kept, name="spy", manifest={"methods": {"go": {}}}, **({"team": team} if team else {}))
    secret = f"secret-{uuid.uuid4()}"
    for _ in range(4):
        call(code_node, "spy/a", "go", json.dumps(secret))
    seen = [json.loads(call(code_node, "spy/a", "go", '"mine"', team=acme).body) for _ in range(4)]
    assert secret not in json.dumps(seen)


def test_an_object_that_cannot_be_loaded_three_times_is_failed_until_somebody_tries_again(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int], database: Database
) -> None:
    from core.events import DEFAULT_TEAM
    from objects.lifecycle import get_object, try_again

    let_in("raise SystemError('no')\n")
    codes = [call(code_node, "account/a", "add", '{"amount": 1}').code for _ in range(4)]
    assert codes == ["fault", "fault", "failed", "failed"]
    with database.team(DEFAULT_TEAM) as connection:
        row = get_object(connection, "account", "a")
        assert (row.shown, row.reason) == ("Failed", "SystemError: no (line 1)")
        try_again(connection, DEFAULT_TEAM, "account", "a")
    version = let_in(ACCOUNT)
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("UPDATE objects SET code_version = %s", (version,))
    code_node.node.handlers.forget(DEFAULT_TEAM, "account")
    assert call(code_node, "account/a", "total").ok
