"""What Slack sends about messages: events, buttons and slash commands. Pure functions; they raise `BadField`.

Events: https://docs.slack.dev/apis/events-api/. A ticket of Slack is a thread: its project is the channel's id, its key
the time stamp (`ts`) of the thread's first message.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from core.payload import Payload, Text, cut_body
from core.tickets.fields import Name
from core.tickets.record import BODY_BYTES

CALLED = "penstock"
"""What the app is called in rules, and in the plain text of a message that mentions it."""
BUTTON = "penstock_"
"""What the ids of our buttons begin with; their values are commands."""
MOST_ACTIONS = 10
_TOKEN = re.compile(r"<([^<>\n]{1,4000})>")
_ENTITY = re.compile(r"&(amp|lt|gt);")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">"}


def _matching(pattern: str, what: str) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            raise ValueError(f"must be {what}")
        return value

    return check


Stamp = Annotated[Text, AfterValidator(_matching(r"[0-9]{1,11}\.[0-9]{1,9}", "a time stamp like 1700000000.000100"))]
Channel = Annotated[Text, AfterValidator(_matching(r"[A-Z][A-Z0-9]{1,30}", "the id of a channel"))]
Member = Annotated[Text, AfterValidator(_matching(r"[A-Z][A-Z0-9]{1,30}", "the id of a user"))]
Said = Annotated[Text, BeforeValidator(lambda text: "" if text is None else text)]


class Authorization(Payload):
    user_id: Name = None
    is_bot: Any = None


class Message(Payload):
    """A message (`app_mention`, `message`) that a person has written. `text` has Slack's escapes."""

    channel: Channel
    ts: Stamp
    thread_ts: Stamp | None = None
    user: Member | None = None
    text: Said = ""
    subtype: Name = None
    bot_id: Name = None
    app_id: Name = None
    edited: Any = None

    @property
    def thread(self) -> str:
        return self.thread_ts or self.ts


class User(Payload):
    id: Member
    username: Name = None
    name: Name = None

    @property
    def called(self) -> str:
        return self.username or self.name or self.id


class _Place(Payload):
    id: Channel


class _Posted(Payload):
    ts: Stamp
    thread_ts: Stamp | None = None


class Action(Payload):
    action_id: Name = None
    value: Name = None
    action_ts: Stamp


class Click(Payload):
    """A click on a button of a message (`block_actions`)."""

    user: User
    channel: _Place
    message: _Posted
    actions: Annotated[
        list[Action], BeforeValidator(lambda found: found[:MOST_ACTIONS] if isinstance(found, list) else found)
    ] = Field(default_factory=list)

    @property
    def thread(self) -> str:
        return self.message.thread_ts or self.message.ts


class SlashCommand(Payload):
    """https://docs.slack.dev/interactivity/implementing-slash-commands"""

    text: Said = ""
    user_id: Member
    user_name: Name = None
    channel_id: Channel
    trigger_id: Name = None


def moment(stamp: str) -> datetime:
    """When the message with this time stamp was written."""
    return datetime.fromtimestamp(float(stamp), UTC)


def plain(text: str, bot: str | None = None) -> str:
    """A message without Slack's escapes, in at most `BODY_BYTES`: `<url|label>` is `label (url)`, a person `@name` or
    `@U1`, and the app itself, whose user id is `bot`, `@penstock`."""
    parts, last = [], 0
    for token in _TOKEN.finditer(text):
        parts += [_unescaped(text[last : token.start()]), _unescaped(_shown(token[1], bot))]
        last = token.end()
    return cut_body("".join(parts) + _unescaped(text[last:]), BODY_BYTES)


def _shown(token: str, bot: str | None) -> str:
    what, bar, label = token.partition("|")
    if what.startswith("@"):
        return f"@{CALLED}" if bot and what[1:] == bot else f"@{label.lstrip('@') or what[1:]}"
    if what.startswith("#"):
        return f"#{label or what[1:]}"
    if what.startswith("!"):
        return label or f"@{what[1:].partition('^')[0]}"
    address = what.removeprefix("mailto:")
    if not bar or not label or address.partition("://")[2] in (label, label + "/") or label == address:
        return address
    return f"{label} ({address})"


def _unescaped(text: str) -> str:
    return _ENTITY.sub(lambda found: _ENTITIES[found[1]], text)
