"""The messages so far, shortened until they fit the model's context window.

Long tool results and long arguments of calls are left out first: old ones, then newer ones. If that is not enough,
the middle of the longest texts is cut out. The rules, the task and the latest turns stay as long as possible.
"""

from dataclasses import dataclass, field, replace

from core.chat.protocol import Message, Role

CHARACTERS_PER_TOKEN = 3
_LEFT_OUT = "[left out to save room; call the tool again if you need it]"
_KEPT = 4
"""The latest tool results, by number, that are only left out when leaving out all others is not enough."""
_LONG = 200
"""Arguments with more characters are worth leaving out."""
_SHORTEST = 400
"""Texts with at most this number of characters are not cut."""


@dataclass
class Conversation:
    messages: list[Message] = field(default_factory=list)

    def add(self, message: Message) -> None:
        self.messages.append(message)

    def fit(self, tokens: int) -> None:
        """Shortens the messages until their estimated size is within `tokens`, as far as possible."""
        room = tokens * CHARACTERS_PER_TOKEN
        self._drop(_KEPT, room)
        self._drop(1, room)
        self._cut_longest(room)

    def shorten(self) -> bool:
        """Leaves out everything long but the last turns; False when that saved nothing."""
        before = self._size
        self._drop(1, 0)
        return self._size < before

    def holds(self, text: str) -> bool:
        """Whether a tool's result is still there as a whole."""
        return any(message.role is Role.TOOL and message.text == text for message in self.messages)

    @property
    def _size(self) -> int:
        return sum(_size(message) for message in self.messages)

    def _drop(self, kept: int, room: int) -> None:
        """Leaves out tool results and the arguments of calls, the longest first, until the rest is within `room`
        characters. The last `kept` results stay, and the last calls unless they take more than half of `room`."""
        results = [n for n, message in enumerate(self.messages) if message.role is Role.TOOL][:-kept]
        *calls, last = [n for n, message in enumerate(self.messages) if message.calls] or [-1]
        if last >= 0 and _size(self.messages[last]) > room // 2:
            calls.append(last)
        size = self._size
        for place in sorted([*results, *calls], key=lambda n: -_size(self.messages[n])):
            if size <= room:
                return
            before = _size(self.messages[place])
            self.messages[place] = _emptied(self.messages[place])
            size += _size(self.messages[place]) - before

    def _cut_longest(self, room: int) -> None:
        """Cuts the middle out of the longest texts, each time by at least a quarter, for a bounded number of rounds."""
        for _ in range(4 * len(self.messages)):
            over = self._size - room
            place = max(range(len(self.messages)), key=lambda n: len(self.messages[n].text))
            text = self.messages[place].text
            if over <= 0 or len(text) <= _SHORTEST:
                return
            keep = max(_SHORTEST // 2, len(text) - max(over + 60, len(text) // 4)) // 2
            shorter = f"{text[:keep]}\n[{len(text) - 2 * keep} characters left out]\n{text[-keep:]}"
            self.messages[place] = replace(self.messages[place], text=shorter)


def _emptied(message: Message) -> Message:
    """A tool result without its text, or a model's turn without the long arguments of its calls."""
    if message.role is Role.TOOL:
        return replace(message, text=_LEFT_OUT) if len(message.text) > len(_LEFT_OUT) else message
    calls = tuple(
        replace(call, arguments={name: _short(value) for name, value in call.arguments.items()})
        for call in message.calls
    )
    return replace(message, calls=calls)


def _short(value: object) -> object:
    return _LEFT_OUT if isinstance(value, str) and len(value) > _LONG else value


def _size(message: Message) -> int:
    return len(message.text) + sum(len(str(dict(call.arguments))) + len(call.name) for call in message.calls)
