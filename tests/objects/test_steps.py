"""Calls to objects on a real database: answers, repeats, alarms, messages, hibernation and takeover."""

import json
from collections.abc import Callable
from typing import Any

from core.database import Database
from objects.model import Reply
from objects.node import ThreadedNode

CallIt = Callable[..., Reply]


def body(reply: Reply) -> Any:
    return json.loads(reply.body)


def test_a_call_changes_the_state_and_a_repeat_gets_the_same_answer(node: ThreadedNode, call: CallIt) -> None:
    assert body(call(node, "register/a", "add", '{"amount": 5}', id="one")) == {"count": 5}
    again = call(node, "register/a", "add", '{"amount": 5}', id="one")
    assert (again.repeated, body(again)) == (True, {"count": 5})
    assert call(node, "register/a", "add", '{"amount": 6}', id="one").code == "call-id"
    assert body(call(node, "register/a", "read")) == {"value": None, "count": 5}
    assert body(call(node, "register/b", "read")) == {"value": None, "count": 0}
