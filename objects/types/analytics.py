"""Counts, distinct counts, percentiles and funnels over events, by DuckDB. The key is a stream of events.

The newest events are in the state; the older ones are kept beside it, packed, a thousand at a time. Each question reads
all of them: some 200,000 fit, and are answered in well under a second.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

from objects.model import Message, Method, Refused, Step, TypeSpec
from objects.schemas import Schema
from objects.types.native import NAME, Native, fields, number, text, whole

PART = 1000
MOST_PARTS = 200
FORGOTTEN_AT_ONCE = 90
_WHEN = {"since": number(0, 1e11), "until": number(0, 1e11)}
_EVENT: Schema = fields({"name": NAME}, {"user": text(200), "value": number(-1e15, 1e15), "at": number(0, 1e11)})


class Analytics(Native):
    spec = TypeSpec(
        name="analytics",
        version=1,
        description="Counts, distinct counts, percentiles and funnels over events.",
        labels={"purpose": "analytics"},
        initial={"events": [], "parts": [], "forgotten": 0},
        methods={
            "track": Method(argument=_EVENT),
            "track_many": Method(
                argument=fields({"events": {"type": "array", "items": _EVENT, "maxItems": 1000}}),
                answer=fields({"tracked": whole()}),
            ),
            "counts": Method(
                reading=True,
                outside=True,
                argument=fields({}, {**_WHEN, "by": {"enum": ["name", "day", "hour"]}}),
                answer={"type": "array"},
                description="Events and distinct users, by name, day or hour (UTC).",
            ),
            "percentiles": Method(
                reading=True,
                outside=True,
                argument=fields(
                    {"name": NAME}, {**_WHEN, "of": {"type": "array", "items": number(0, 1), "maxItems": 10}}
                ),
                answer={"type": "object"},
                description="Percentiles of the values of an event: of 0.5, 0.95 and 0.99 by default.",
            ),
            "funnel": Method(
                reading=True,
                outside=True,
                argument=fields(
                    {"steps": {"type": "array", "items": NAME, "minItems": 2, "maxItems": 8}},
                    {**_WHEN, "within": number(1, 366 * 86_400)},
                ),
                answer={"type": "array"},
                description="How many users did each step after the one before, within so many seconds of the first.",
            ),
            "forget": Method(
                argument=fields({}),
                answer=fields({"left": whole()}),
                description="Deletes events; call it again while some are left.",
            ),
        },
    )

    def on_track(self, state: Any, message: Message) -> Step:
        return _added(state, [message.argument], message.now, None)

    def on_track_many(self, state: Any, message: Message) -> Step:
        events = message.argument["events"]
        return _added(state, events, message.now, {"tracked": len(events)})

    def _plan(self, state: Any, message: Message) -> Mapping[str, Any] | None:
        return {
            "do": "analyse",
            "sha256": [part["sha256"] for part in state["parts"]],
            "events": state["events"],
            "question": message.method,
            "argument": message.argument,
        }

    plan_counts = plan_percentiles = plan_funnel = _plan

    def _answer(self, state: Any, message: Message) -> Step:
        if isinstance(message.outside, dict) and "error" in message.outside:
            raise Refused("question", message.outside["error"])
        return Step(message.outside["answer"])

    on_counts = on_percentiles = on_funnel = _answer

    def on_forget(self, state: Any, message: Message) -> Step:
        gone = sorted({part["sha256"] for part in state["parts"]})[:FORGOTTEN_AT_ONCE]
        left = [part for part in state["parts"] if part["sha256"] not in gone]
        drops: list[Mapping[str, Any]] = [{"kind": "drop_blob", "sha256": sha256} for sha256 in gone]
        return Step({"left": len(left)}, {"events": [], "parts": left, "forgotten": 0}, drops)


def _added(state: Any, events: list[Any], now: float, result: Any) -> Step:
    rows = [[one.get("at", now), one["name"], one.get("user"), one.get("value")] for one in events]
    held, parts, effects = [*state["events"], *rows], list(state["parts"]), []
    forgotten = state["forgotten"]
    while len(held) >= PART:
        packed = zlib.compress(json.dumps(held[:PART], separators=(",", ":")).encode())
        held = held[PART:]
        sha256 = hashlib.sha256(packed).hexdigest()
        effects.append({"kind": "blob", "sha256": sha256, "content": base64.b64encode(packed).decode()})
        parts.append({"sha256": sha256, "events": PART})
    while len(parts) > MOST_PARTS:
        gone = parts.pop(0)
        forgotten += gone["events"]
        effects.append({"kind": "drop_blob", "sha256": gone["sha256"]})
    return Step(result, {"events": held, "parts": parts, "forgotten": forgotten}, effects)
