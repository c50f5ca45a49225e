"""What a step wants done, checked and turned into what its commit stores.

Effects are dictionaries with a `kind`: emit, alarm, cancel, send, subscribe, unsubscribe, task, terminate; of trusted
types also blob and drop_blob. All commit with the state or not at all. An event's effect on another object's state
happens exactly once; what is done in the outside world happens at least once, with a key to dedupe by.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.eventlog.protocol import MAX_EVENT_BYTES
from core.events import DEAD_LETTERS, OBJECTS, OUTCOMES, Event
from objects.manifest import METHOD_NAME, NAME
from objects.model import KEY_BYTES, MAX_ARGUMENT_BYTES, MAX_DEPTH, MAX_EFFECTS, Address, Call, Fault, Refused, dump

TASK_REQUESTED = "penstock.object.task-requested"
TOPICS = (OBJECTS, OUTCOMES, DEAD_LETTERS)
"""What an object may subscribe to."""
MOST_SECONDS = 366 * 86_400.0

_Effect = Mapping[str, Any]


class Effects:
    """Collects the effects of one step. Raises `Fault` for one that is malformed, `Refused` for a call that leads back
    to an object it came from, or too far."""

    def __init__(self, call: Call, incarnation: int, *, trusted: bool) -> None:
        self._call = call
        self._trusted = trusted
        self._base = hashlib.sha256(
            f"{call.address}\0{incarnation}\0{call.id}".encode()
        ).hexdigest()[:40]  # fmt: skip
        self._more: dict[str, Any] = {}

    def collect(self, effects: Sequence[_Effect]) -> dict[str, Any]:
        """What the commit takes."""
        if not isinstance(effects, list | tuple) or len(effects) > MAX_EFFECTS:
            raise Fault(f"effects must be a list of at most {MAX_EFFECTS}")
        for number, effect in enumerate(effects):
            kind = effect.get("kind") if isinstance(effect, Mapping) else None
            handle = self._kinds().get(kind if isinstance(kind, str) else "")
            if handle is None:
                raise Fault(f"effects[{number}]: {str(kind)[:40]!r} is no kind of effect")
            try:
                handle(effect, number)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise Fault(f"effects[{number}] ({kind}): {type(error).__name__}: {str(error)[:200]}") from None
        return self._more

    def _kinds(self) -> dict[str, Callable[[_Effect, int], None]]:
        trusted = {"blob": self._blob, "drop_blob": self._drop_blob} if self._trusted else {}
        return {
            "emit": self._emit,
            "alarm": self._alarm,
            "cancel": lambda effect, _: self._add("cancel", _name(effect["name"])),
            "send": self._send,
            "subscribe": self._subscribe,
            "unsubscribe": lambda effect, _: self._add("unsubscribe", _topic(effect["topic"])),
            "task": self._task,
            "terminate": self._terminate,
            **trusted,
        }

    def _add(self, name: str, value: Any) -> None:
        self._more.setdefault(name, []).append(value)

    def _event(self, kind: str, subject: str, data: Mapping[str, Any], number: int) -> None:
        address = self._call.address
        event = Event(
            id=f"object:{self._base}:{number}",
            source=f"/penstock/objects/{address.type}",
            type=kind,
            subject=subject,
            time=datetime.now(UTC),
            teamid=address.team,
            data={**data, "object": {"type": address.type, "key": address.key}},
        )
        body = dump(json.loads(event.to_json()), "an event", MAX_EVENT_BYTES)
        self._add("events", json.loads(body))

    def _emit(self, effect: _Effect, number: int) -> None:
        name, data = effect["type"], effect.get("data", {})
        if not isinstance(name, str) or METHOD_NAME.fullmatch(name.replace("-", "_").replace(".", "_")) is None:
            raise ValueError("type: lower-case letters, digits and ._-")
        if not isinstance(data, Mapping):
            raise ValueError("data: must be a JSON object")
        self._event(f"object.{self._call.address.type}.{name}", self._call.address.key, data, number)

    def _task(self, effect: _Effect, number: int) -> None:
        data = {name: _text(effect.get(name, ""), name, most) for name, most in _TASK_FIELDS.items()}
        if not data["source"] or not data["title"]:
            raise ValueError("source and title are required")
        self._event(TASK_REQUESTED, data["source"], data, number)

    def _alarm(self, effect: _Effect, _: int) -> None:
        alarm: dict[str, Any] = {
            "name": _name(effect["name"]),
            "method": _method(effect["method"]),
            "argument": dump(effect.get("argument"), "argument", MAX_ARGUMENT_BYTES),
        }
        for field, least in (("at", 0.0), ("after", 0.0), ("every", 1.0)):
            if effect.get(field) is not None:
                seconds = float(effect[field])
                if not least <= seconds <= (MOST_SECONDS if field != "at" else 1e11):
                    raise ValueError(f"{field}: must be from {least:g} seconds to a year")
                alarm[field] = seconds
        if not {"at", "after", "every"} & set(alarm):
            raise ValueError("one of at, after and every is required")
        # One statement stores all of them, and takes each name once: the last one counts.
        self._more["alarms"] = [a for a in self._more.get("alarms", []) if a["name"] != alarm["name"]] + [alarm]

    def _send(self, effect: _Effect, number: int) -> None:
        call, kind, key = self._call, effect["type"], effect["key"]
        if not isinstance(kind, str) or NAME.fullmatch(kind) is None:
            raise ValueError("type: is no name of a type")
        chain = [*call.chain, str(call.address)]
        target = Address(call.address.team, kind, checked_key(key))
        if str(target) in chain:
            raise Refused("cycle", f"{target} has led to this call itself: {' > '.join(chain)[:600]}")
        if len(chain) >= MAX_DEPTH:
            raise Refused("depth", f"calls lead through at most {MAX_DEPTH} objects")
        self._add(
            "messages",
            {
                "type": kind,
                "key": target.key,
                "name": f"message:{self._base}:{number}",
                "method": _method(effect["method"]),
                "argument": dump(effect.get("argument"), "argument", MAX_ARGUMENT_BYTES),
                "sender": {"chain": chain},
            },
        )

    def _subscribe(self, effect: _Effect, _: int) -> None:
        one = {
            "topic": _topic(effect["topic"]),
            "event_type": _text(effect.get("event_type", ""), "event_type", 256),
            "method": _method(effect["method"]),
        }
        self._more["subscribe"] = [s for s in self._more.get("subscribe", []) if s["topic"] != one["topic"]] + [one]

    def _terminate(self, effect: _Effect, _: int) -> None:
        self._more["terminate"] = True

    def _blob(self, effect: _Effect, _: int) -> None:
        content = base64.b64decode(effect["content"], validate=True)
        if hashlib.sha256(content).hexdigest() != effect["sha256"]:
            raise ValueError("sha256: is not the content's")
        self._add("blobs", {"sha256": effect["sha256"], "content": effect["content"]})

    def _drop_blob(self, effect: _Effect, _: int) -> None:
        self._add("drop_blobs", _text(effect["sha256"], "sha256", 64))


_TASK_FIELDS = {"source": 200, "title": 500, "body": 50_000}


def checked_key(key: object) -> str:
    """A key that can be stored. Raises `ValueError`."""
    if (
        not isinstance(key, str)
        or not key.isprintable()
        or "/" in key
        or not 1 <= len(key.encode("utf-8", "replace")) <= KEY_BYTES
        or key in (".", "..", "-")
    ):
        raise ValueError(f"key: must be a printable text of 1 to {KEY_BYTES} bytes without '/'")
    return key


def _text(value: object, name: str, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{name}: must be a text of at most {most:,} characters")
    return value


def _name(value: object) -> str:
    if (
        not isinstance(value, str)
        or not value.isprintable()
        or not 1 <= len(value) <= 60
        or value.startswith("message:")
    ):
        raise ValueError("name: must be a printable text of 1 to 60 characters")
    return value


def _method(value: object) -> str:
    if not isinstance(value, str) or METHOD_NAME.fullmatch(value) is None:
        raise ValueError("method: is no name of a method")
    return value


def _topic(value: object) -> str:
    if value not in TOPICS:
        raise ValueError(f"topic: must be one of {', '.join(TOPICS)}")
    return str(value)
