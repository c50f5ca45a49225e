"""Registers and counters: a value that is read, written and compared, and a lock with an owner and a limit of time.

The smallest useful object; its promises (linearisable, a lock held once) are those that tests of the runtime check.
"""

from typing import Any

from objects.model import Message, Method, Refused, Step, TypeSpec
from objects.schemas import ANYTHING
from objects.types.native import FLAG, Native, fields, number, text, whole


class Register(Native):
    spec = TypeSpec(
        name="register",
        version=1,
        description="A value with compare-and-set, a counter, and a lock that ends by itself.",
        initial={"value": None, "count": 0, "lock": None, "fence": 0},
        methods={
            "read": Method(reading=True, answer=fields({"value": ANYTHING, "count": whole(-(2**53))})),
            "write": Method(argument=fields({"value": ANYTHING})),
            "compare_and_set": Method(
                argument=fields({"expected": ANYTHING, "value": ANYTHING}), answer=fields({"set": FLAG})
            ),
            "add": Method(
                argument=fields({}, {"amount": whole(-(2**40), 2**40)}), answer=fields({"count": whole(-(2**53))})
            ),
            "lock": Method(
                argument=fields({"owner": text(200, 1)}, {"seconds": number(1, 86_400)}),
                answer=fields({"fence": whole()}),
                description="Takes the lock for some seconds (60). `fence` grows with each holder.",
            ),
            "unlock": Method(argument=fields({"owner": text(200, 1)})),
            "expire": Method(internal=True),
        },
    )

    def on_read(self, state: Any, message: Message) -> Step:
        return Step({"value": state["value"], "count": state["count"]})

    def on_write(self, state: Any, message: Message) -> Step:
        return Step(None, {**state, "value": message.argument["value"]})

    def on_compare_and_set(self, state: Any, message: Message) -> Step:
        if state["value"] != message.argument["expected"]:
            return Step({"set": False})
        return Step({"set": True}, {**state, "value": message.argument["value"]})

    def on_add(self, state: Any, message: Message) -> Step:
        count = state["count"] + message.argument.get("amount", 1)
        if abs(count) > 2**53:
            raise Refused("overflow", "the counter would leave the range of whole numbers in JSON")
        return Step({"count": count}, {**state, "count": count})

    def on_lock(self, state: Any, message: Message) -> Step:
        owner, seconds = message.argument["owner"], message.argument.get("seconds", 60)
        if state["lock"] is not None and state["lock"]["owner"] != owner:
            raise Refused("locked", f"{state['lock']['owner']} holds the lock")
        fence = state["fence"] + 1
        lock = {"owner": owner, "fence": fence}
        alarm = {"kind": "alarm", "name": "lock", "after": seconds, "method": "expire", "argument": fence}
        return Step({"fence": fence}, {**state, "lock": lock, "fence": fence}, [alarm])

    def on_unlock(self, state: Any, message: Message) -> Step:
        if state["lock"] is None or state["lock"]["owner"] != message.argument["owner"]:
            raise Refused("not-locked", "it is not locked by this owner")
        return Step(None, {**state, "lock": None}, [{"kind": "cancel", "name": "lock"}])

    def on_expire(self, state: Any, message: Message) -> Step:
        if state["lock"] is None or state["lock"]["fence"] != message.argument:
            return Step()
        return Step(None, {**state, "lock": None})
