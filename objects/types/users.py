"""A person of a service: profile, preferences, and how they want to be told things. The key is the person's id, so that
as many fit as the database holds."""

from typing import Any

from objects.model import Message, Method, Refused, Step, TypeSpec
from objects.schemas import Schema
from objects.types.native import FLAG, NAME, Native, fields, text

_VALUES: Schema = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}
_PROFILE: Schema = {
    "type": "object",
    "properties": {"name": text(200), "mail": text(320), "language": text(20), "zone": text(60), "picture": text(2000)},
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}
NOTIFICATIONS = fields(
    {},
    {
        "channels": {"type": "array", "items": {"enum": ["mail", "slack", "webhook"]}, "maxItems": 3},
        "quiet_from": text(5, 5),
        "quiet_to": text(5, 5),
        "digest": FLAG,
        "muted": {"type": "array", "items": NAME, "maxItems": 100},
    },
)
_FIELDS = 200


class Users(Native):
    spec = TypeSpec(
        name="user",
        version=1,
        description="A person: profile, preferences, notification settings.",
        labels={"purpose": "users"},
        initial={"profile": None, "preferences": {}, "notifications": {}, "since": None, "active": True},
        methods={
            "create": Method(argument=fields({"profile": _PROFILE})),
            "get": Method(reading=True, argument=fields({}), answer={"type": "object"}),
            "set_profile": Method(argument=_PROFILE, description="Changes the given fields; null removes one."),
            "set_preferences": Method(argument=_VALUES, description="Changes the given ones; null removes one."),
            "set_notifications": Method(argument=NOTIFICATIONS, description="Changes the given fields."),
            "deactivate": Method(argument=fields({})),
            "activate": Method(argument=fields({})),
            "erase": Method(argument=fields({}), description="Deletes the person and everything about them, for good."),
        },
    )

    def on_create(self, state: Any, message: Message) -> Step:
        if state["profile"] is not None:
            raise Refused("exists", "the person exists already")
        made = {**state, "profile": message.argument["profile"], "since": message.now}
        return Step(None, made, [{"kind": "emit", "type": "created"}])

    def on_get(self, state: Any, message: Message) -> Step:
        return Step(_existing(state))

    def on_set_profile(self, state: Any, message: Message) -> Step:
        return self._changed(state, "profile", message.argument)

    def on_set_preferences(self, state: Any, message: Message) -> Step:
        return self._changed(state, "preferences", message.argument)

    def on_set_notifications(self, state: Any, message: Message) -> Step:
        for name in ("quiet_from", "quiet_to"):
            if name in message.argument:
                minutes_of(message.argument[name])
        return self._changed(state, "notifications", message.argument)

    def _changed(self, state: Any, part: str, changes: Any) -> Step:
        merged = {**_existing(state)[part], **changes}
        kept = {name: value for name, value in merged.items() if value is not None}
        if len(kept) > _FIELDS:
            raise Refused("full", f"{part} holds at most {_FIELDS} fields")
        return Step(None, {**state, part: kept}, [{"kind": "emit", "type": "changed", "data": {"part": part}}])

    def on_deactivate(self, state: Any, message: Message) -> Step:
        return Step(None, {**_existing(state), "active": False}, [{"kind": "emit", "type": "deactivated"}])

    def on_activate(self, state: Any, message: Message) -> Step:
        return Step(None, {**_existing(state), "active": True}, [{"kind": "emit", "type": "activated"}])

    def on_erase(self, state: Any, message: Message) -> Step:
        _existing(state)
        return Step(None, None, [{"kind": "emit", "type": "erased"}, {"kind": "terminate"}])


def _existing(state: Any) -> Any:
    if state["profile"] is None:
        raise Refused("no-such-user", "there is no such person: create them first")
    return state


def minutes_of(clock: str) -> int:
    """Minutes since midnight of a time as 22:30. Raises `Refused`."""
    hours, colon, minutes = clock.partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        raise Refused("time", "a time is HH:MM")
    return int(hours) * 60 + int(minutes)
