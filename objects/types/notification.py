"""Tells a person or a group of things: by mail, Slack or a webhook, with preferences, quiet hours, digests and
deduplication. The key is whom to tell.

A notification leaves at least once: a receiver sees a repeat by its `id`. What cannot be delivered after six tries is a
dead letter of the object's alarms.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from objects.model import Message, Method, Refused, Step, TypeSpec
from objects.types.native import FLAG, NAME, Native, fields, full, number, text, whole
from objects.types.users import minutes_of

MOST_WAITING = 500
MOST_SEEN = 2000
_SETTINGS = {
    "mail": {"type": ["string", "null"], "maxLength": 320},
    "slack": {"type": ["string", "null"], "maxLength": 500},
    "webhook": {"type": ["string", "null"], "maxLength": 500},
    "muted": {"type": "array", "items": NAME, "maxItems": 200},
    "quiet_from": text(5),
    "quiet_to": text(5),
    "zone": text(60, 1),
    "digest_seconds": number(0, 7 * 86_400),
    "dedupe_seconds": number(0, 30 * 86_400),
}
CHANNELS = ("mail", "slack", "webhook")


class Notification(Native):
    spec = TypeSpec(
        name="notification",
        version=1,
        description="Mail, Slack and webhooks, with preferences, quiet hours, digests and deduplication.",
        labels={"purpose": "notification"},
        initial={
            "settings": {"mail": None, "slack": None, "webhook": None, "muted": [], "quiet_from": "", "quiet_to": "",
                         "zone": "UTC", "digest_seconds": 0, "dedupe_seconds": 3600},
            "waiting": [], "seen": {}, "sent": 0, "number": 0,
        },
        methods={
            "configure": Method(
                argument=fields({}, _SETTINGS),
                description="Where to send: a mail address, and addresses of a Slack webhook and of a webhook at hosts "
                "that operators allow; and when.",
            ),
            "notify": Method(
                argument=fields(
                    {"title": text(200, 1)},
                    {"text": text(5000), "topic": NAME, "dedupe": text(200, 1), "urgent": FLAG},
                ),
                answer=fields({"outcome": {"enum": ["sending", "waiting", "duplicate", "muted"]}}),
                description="`urgent` ignores quiet hours and digests; the same `dedupe` again is told once.",
            ),
            "status": Method(reading=True, argument=fields({}), answer={"type": "object"}),
            "deliver": Method(internal=True, outside=True, argument=whole()),
            "digest": Method(internal=True),
        },
    )  # fmt: skip

    def on_configure(self, state: Any, message: Message) -> Step:
        settings = {**state["settings"], **message.argument}
        for name in ("quiet_from", "quiet_to"):
            if settings[name]:
                minutes_of(settings[name])
        if bool(settings["quiet_from"]) != bool(settings["quiet_to"]):
            raise Refused("quiet", "quiet hours have a beginning and an end")
        try:
            ZoneInfo(settings["zone"])
        except (KeyError, ValueError, OSError):
            raise Refused("zone", "there is no such time zone") from None
        return Step(None, {**state, "settings": settings})

    def on_notify(self, state: Any, message: Message) -> Step:
        argument, settings, now = message.argument, state["settings"], message.now
        if not any(settings[channel] for channel in CHANNELS):
            raise Refused("not-configured", "no channel is configured")
        if argument.get("topic") in settings["muted"]:
            return Step({"outcome": "muted"})
        seen = {name: until for name, until in state["seen"].items() if until > now}
        if (name := argument.get("dedupe")) is not None:
            if name in seen:
                return Step({"outcome": "duplicate"})
            if len(seen) >= MOST_SEEN:
                seen.pop(min(seen, key=lambda one: seen[one]))
            seen[name] = now + settings["dedupe_seconds"]
        if len(state["waiting"]) >= MOST_WAITING:
            raise full("notifications that wait", MOST_WAITING)
        number = state["number"] + 1
        entry = {"number": number, "title": argument["title"], "text": argument.get("text", ""), "at": now}
        state = {**state, "number": number, "seen": seen}
        delay = 0.0 if argument.get("urgent") else self._delay(settings, now)
        if delay:
            alarm = {"kind": "alarm", "name": "digest", "after": delay, "method": "digest"}
            first = [] if any("of" not in one for one in state["waiting"]) else [alarm]
            return Step({"outcome": "waiting"}, {**state, "waiting": [*state["waiting"], entry]}, list(first))
        return self._send(state, [entry], {"outcome": "sending"})

    @staticmethod
    def _send(state: Any, entries: list[Any], result: Any) -> Step:
        """One message about the entries, to each channel; each goes and fails for itself."""
        effects: list[Mapping[str, Any]] = []
        kept, number = [one for one in state["waiting"] if one not in entries], state["number"]
        for channel in CHANNELS:
            if state["settings"][channel]:
                number += 1
                kept.append({"number": number, "of": channel, "to": state["settings"][channel], "entries": entries})
                effects.append(
                    {"kind": "alarm", "name": f"deliver-{number}", "after": 0, "method": "deliver", "argument": number}
                )
        return Step(result, {**state, "waiting": kept, "number": number}, effects)

    @staticmethod
    def _delay(settings: Any, now: float) -> float:
        """Seconds until it may be told: the end of quiet hours, or of the digest's time."""
        delay = float(settings["digest_seconds"])
        if not settings["quiet_from"]:
            return delay
        zone = ZoneInfo(settings["zone"])
        then = datetime.fromtimestamp(now + delay, UTC).astimezone(zone)
        minute = then.hour * 60 + then.minute
        start, end = minutes_of(settings["quiet_from"]), minutes_of(settings["quiet_to"])
        quiet = start <= minute < end if start <= end else minute >= start or minute < end
        if not quiet:
            return delay
        wake = then.replace(hour=end // 60, minute=end % 60, second=0, microsecond=0)
        wake = wake if wake > then else wake + timedelta(days=1)
        return wake.timestamp() - now

    def on_digest(self, state: Any, message: Message) -> Step:
        entries = [one for one in state["waiting"] if "of" not in one]
        return self._send(state, entries, None) if entries else Step()

    def plan_deliver(self, state: Any, message: Message) -> Mapping[str, Any] | None:
        found = next((one for one in state["waiting"] if one["number"] == message.argument), None)
        if found is None:
            return None
        entries = found["entries"]
        title = entries[0]["title"] if len(entries) == 1 else f"{len(entries)} notifications"
        lines = [
            f"{one['title']}\n{one['text']}".strip() if len(entries) > 1 else one["text"] for one in entries
        ]  # fmt: skip
        return {"do": found["of"], "to": found["to"], "title": title, "text": "\n\n".join(lines), "id": message.id}

    def on_deliver(self, state: Any, message: Message) -> Step:
        left = [one for one in state["waiting"] if one["number"] != message.argument]
        return Step(None, {**state, "waiting": left, "sent": state["sent"] + 1})

    def on_status(self, state: Any, message: Message) -> Step:
        settings = {name: bool(value) if name in CHANNELS else value for name, value in state["settings"].items()}
        waiting = [one for one in state["waiting"] if "of" not in one]
        return Step(
            {
                "settings": settings,
                "waiting": len(waiting),
                "leaving": len(state["waiting"]) - len(waiting),
                "sent": state["sent"],
            }
        )
