"""The turns so far, kept within what the model can read: old results of tools are the first to go."""

from dataclasses import dataclass, field, replace

from core.chat.protocol import Message, Role

_LEFT_OUT = "[left out to save room; call the tool again if you need it]"
_CHARACTERS_PER_TOKEN = 3
_KEPT = 4
"""Results of tools that are never left out."""


@dataclass
class Conversation:
    messages: list[Message] = field(default_factory=list)

    def add(self, message: Message) -> None:
        self.messages.append(message)

    def fit(self, tokens: int) -> None:
        """Leaves out old results until an estimate of the rest is within `tokens`, as far as it goes."""
        size = sum(_size(message) for message in self.messages)
        for place in self._old():
            if size <= tokens * _CHARACTERS_PER_TOKEN:
                return
            size -= len(self.messages[place].text) - len(_LEFT_OUT)
            self.messages[place] = replace(self.messages[place], text=_LEFT_OUT)

    def shorten(self) -> bool:
        """Leaves out every old result; False when there was none to leave out."""
        old = self._old()
        for place in old:
            self.messages[place] = replace(self.messages[place], text=_LEFT_OUT)
        return bool(old)

    def _old(self) -> list[int]:
        results = [n for n, message in enumerate(self.messages) if message.role is Role.TOOL]
        return [n for n in results[:-_KEPT] if len(self.messages[n].text) > len(_LEFT_OUT)]


def _size(message: Message) -> int:
    return len(message.text) + sum(len(str(dict(call.arguments))) + len(call.name) for call in message.calls)
