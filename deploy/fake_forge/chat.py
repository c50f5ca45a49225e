"""A workspace of Slack: people, channels, and messages in threads. It knows nothing of HTTP."""

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import Any

TEAM = "T0FAKE"
BOT = "U0PENSTOCK"


@dataclass
class Member:
    """`flags` are those of the user object that are not false; `team` is the workspace that the person is of."""

    id: str
    name: str
    team: str = TEAM
    flags: dict[str, Any] = field(default_factory=dict)


@dataclass
class Message:
    ts: str
    thread: str
    user: str
    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    edits: int = 0


@dataclass
class Channel:
    id: str
    joined: bool = True
    """Whether the app is a member."""
    archived: bool = False
    messages: list[Message] = field(default_factory=list)


class Workspace:
    """The app's bot user is `BOT`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.members = {BOT: Member(BOT, "penstock", flags={"is_bot": True})}
        self.channels: dict[str, Channel] = {}
        self._numbers = itertools.count(100)

    def add_member(self, identity: str, name: str, *, team: str = TEAM, **flags: Any) -> Member:
        self.members[identity] = Member(identity, name, team, flags)
        return self.members[identity]

    def add_channel(self, identity: str) -> Channel:
        return self.channels.setdefault(identity, Channel(identity))

    def say(self, channel: str, user: str, text: str, thread: str | None = None, **more: Any) -> Message:
        """Adds a message, to a thread or as the first of one."""
        with self.lock:
            ts = f"{int(time.time())}.{next(self._numbers):06}"
            message = Message(ts, thread or ts, user, text, **more)
            self.channels[channel].messages.append(message)
            return message

    def thread(self, channel: str, thread: str) -> list[Message]:
        with self.lock:
            return [message for message in self.channels[channel].messages if message.thread == thread]


def shown(message: Message) -> str:
    """The text that a message shows: that of its blocks, if it has any."""
    parts = [block["text"]["text"] for block in message.blocks if block["type"] == "section"]
    return "\n".join(parts) if parts else message.text


def buttons(message: Message) -> list[str]:
    """The values of a message's buttons."""
    rows = [block["elements"] for block in message.blocks if block["type"] == "actions"]
    return [button["value"] for row in rows for button in row]
