"""What a request to a chat model can cost, before it is sent: its prompt by an estimate, its answer by its limit.

The estimate is high for code and English, and grows with what the server counted so far. It is no bound: a server may
count more for a first prompt, which is then counted as it is.
"""

from core.chat.protocol import Left, OverBudget, Usage
from core.chat.spec import ChatSpec

BYTES_PER_TOKEN = 3
"""A low estimate for code and English, for servers that report no token counts and for sizing prompts."""
LEAST_ANSWER = 256
"""Tokens of an answer, below which a request is not worth its prompt."""
_LEAST_SIZE = 2000
"""Bytes of a prompt from which on its tokens are those of its text, and not of what the server puts around it."""
_MOST_PER_BYTE = 2.0
"""What a server counts beyond this is no property of the text."""


class Costs:
    """The costs of one model on one server."""

    def __init__(self, spec: ChatSpec) -> None:
        self._spec = spec
        self._per_byte = 1 / BYTES_PER_TOKEN

    def prompt(self, size: int) -> int:
        """The estimated tokens of a prompt of so many bytes."""
        return int(size * self._per_byte) + 1

    def learn(self, size: int, tokens: int) -> None:
        """Takes note of how many tokens the server counted for a prompt of so many bytes."""
        if size >= _LEAST_SIZE:
            self._per_byte = max(self._per_byte, min(_MOST_PER_BYTE, tokens / size))

    def money(self, prompt: int, answer: int) -> float:
        return (prompt * self._spec.prompt_price + answer * self._spec.completion_price) / 1e6

    def failed(self, prompt: int, answer: int, seconds: float, *, again: bool, worked: bool) -> Usage:
        """The most that a failed try can have cost."""
        if not worked:
            return Usage(retries=int(again), seconds=seconds)
        return Usage(0, int(again), prompt, answer, self.money(prompt, answer), seconds, estimated=True)

    def within(self, left: Left, prompt: int, answer: int, retries: int) -> tuple[int, int]:
        """The limit of the answer, and the number of retries, with which all tries together stay within what is left.
        Raises `OverBudget`."""
        spec = self._spec
        least = min(answer, LEAST_ANSWER)
        if prompt + least > left.tokens:
            raise OverBudget(f"a request takes about {prompt + least} tokens; {left.tokens} are left", "tokens")
        if self.money(prompt, least) > left.money:
            cost = self.money(prompt, least)
            raise OverBudget(f"a request costs about {cost:.4g}; {left.money:.4g} is left", "money")
        answer = min(answer, left.tokens - prompt)
        if spec.completion_price > 0:
            affordable = (left.money * 1e6 - prompt * spec.prompt_price) / spec.completion_price
            answer = max(least, int(min(answer, affordable)))
        tries = left.tokens // (prompt + answer)
        if (cost := self.money(prompt, answer)) > 0:
            tries = int(min(tries, left.money / cost))
        return answer, min(retries, max(0, tries - 1))
