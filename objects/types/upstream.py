"""Outgoing calls to a service for programs that must not hold its credentials: only allowed hosts, with a rate limit, a
circuit breaker and a cache. The key is the service's name.

Operators allow hosts in `<home>/object-hosts.toml` (`objects.hosts`). The credential is added outside the object, which
never sees it. A call may reach the service more than once; the header `Idempotency-Key` is the same each time.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from objects.model import Message, Method, Refused, Step, TypeSpec
from objects.schemas import ANYTHING, Schema
from objects.types.native import FLAG, Native, fields, number, text, whole

MOST_CACHED = 200
CACHED_BYTES = 600_000
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_HEADERS: Schema = {"type": "object", "additionalProperties": text(2000)}


class Upstream(Native):
    spec = TypeSpec(
        name="api-gateway",
        version=1,
        description="Calls to one allowed service, with its credentials kept out, limits, a breaker and a cache.",
        labels={"purpose": "gateway"},
        initial={
            "base": None, "rate": 10.0, "burst": 20, "cache_seconds": 0.0, "failures_allowed": 5, "pause": 30.0,
            "tokens": 20.0, "at": 0.0, "failures": 0, "open_until": 0.0, "cache": {}, "calls": 0, "failed": 0,
        },
        methods={
            "configure": Method(
                argument=fields(
                    {"base": text(500, 8)},
                    {
                        "rate": number(0.01, 1000), "burst": whole(1, 10_000), "cache_seconds": number(0, 86_400),
                        "failures_allowed": whole(1, 100), "pause": number(1, 3600),
                    },
                ),
                description="Where the service is, calls a second, seconds that an answer to GET is reused, and when "
                "and for how long the breaker opens.",
            ),
            "fetch": Method(
                outside=True,
                argument=fields(
                    {"path": text(2000, 1)},
                    {"method": {"enum": list(METHODS)}, "body": ANYTHING, "headers": _HEADERS},
                ),
                answer=fields(
                    {"status": whole(0, 999), "headers": _HEADERS, "body": text(1_500_000), "cached": FLAG}
                ),
            ),
            "status": Method(reading=True, argument=fields({}), answer={"type": "object"}),
        },
    )  # fmt: skip

    def on_configure(self, state: Any, message: Message) -> Step:
        parts = urlsplit(message.argument["base"])
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
            raise Refused("base", "the base must be an address like https://api.example.org/v1")
        changed = {**state, **message.argument, "cache": {}, "failures": 0, "open_until": 0.0, "at": message.now}
        return Step(None, {**changed, "tokens": float(changed["burst"])})

    def plan_fetch(self, state: Any, message: Message) -> Mapping[str, Any] | None:
        """What to send; None for what is answered from the cache. Raises `Refused` before anything is sent."""
        argument = message.argument
        if state["base"] is None:
            raise Refused("not-configured", "call configure first")
        if self._cached(state, message) is not None:
            return None
        if state["open_until"] > message.now:
            raise Refused("open", f"the service fails: tried again in {state['open_until'] - message.now:.0f} s")
        if self._tokens(state, message.now) < 1:
            raise Refused("rate", f"more than {state['rate']:g} calls a second")
        path = argument["path"]
        if not path.startswith("/") or path.startswith("//") or not path.isprintable() or ".." in path.split("?")[0]:
            raise Refused("path", "the path must begin with '/', and have no '..'")
        return {
            "do": "http",
            "url": state["base"].rstrip("/") + path,
            "method": argument.get("method", "GET"),
            "headers": argument.get("headers", {}),
            "body": argument.get("body"),
        }

    def on_fetch(self, state: Any, message: Message) -> Step:
        cached = self._cached(state, message)
        if cached is not None:
            return Step({**cached, "cached": True}, None)
        answer = message.outside
        state = {
            **state,
            "tokens": self._tokens(state, message.now) - 1,
            "at": message.now,
            "calls": state["calls"] + 1,
        }
        if answer["status"] == 0 or answer["status"] >= 500:
            failures = state["failures"] + 1
            opened = failures >= state["failures_allowed"]
            state |= {"failures": 0 if opened else failures, "failed": state["failed"] + 1}
            state["open_until"] = message.now + state["pause"] if opened else 0.0
        else:
            state["failures"] = 0
            state = self._keep(state, message, answer)
        return Step({**answer, "cached": False}, state)

    def on_status(self, state: Any, message: Message) -> Step:
        names = ("base", "rate", "burst", "cache_seconds", "failures", "calls", "failed")
        shown = {name: state[name] for name in names}
        return Step({**shown, "breaker": "open" if state["open_until"] > message.now else "closed"})

    @staticmethod
    def _tokens(state: Any, now: float) -> float:
        since = max(0.0, now - state["at"])
        return float(min(state["burst"], state["tokens"] + since * state["rate"]))

    @staticmethod
    def _name(message: Message) -> str:
        return hashlib.sha256(json.dumps(message.argument, sort_keys=True).encode()).hexdigest()[:32]

    def _cached(self, state: Any, message: Message) -> Any:
        found = state["cache"].get(self._name(message))
        return found["answer"] if found and found["until"] > message.now else None

    def _keep(self, state: Any, message: Message, answer: Any) -> Any:
        if message.argument.get("method", "GET") != "GET" or not state["cache_seconds"] or answer["status"] != 200:
            return state
        held = {name: one for name, one in state["cache"].items() if one["until"] > message.now}
        held[self._name(message)] = {"until": message.now + state["cache_seconds"], "answer": answer}
        while len(held) > MOST_CACHED or sum(len(one["answer"]["body"]) for one in held.values()) > CACHED_BYTES:
            held.pop(next(iter(held)))
        return {**state, "cache": held}
