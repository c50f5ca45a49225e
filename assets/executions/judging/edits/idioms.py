"""How natural code is for a project: how often its tokens follow each other in the project's own files.

A trigram model of the program's tokens with Witten-Bell smoothing (Bell, Cleary and Witten 1990, Text Compression,
section 4.5). That right code is more predictable than wrong code is measured by Ray et al. (2016, ICSE, "On the
naturalness of buggy code"). Not for deciding whether code is right.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from assets.executions.engines.search.source import SourceFile

MAX_CHARACTERS = 400_000
_TOKEN = re.compile(
    r"#[^\n]*|[rbfuRBFU]{0,2}(?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|[A-Za-z_]\w*|\d[\w.]*|\*\*=?|//=?|<<=?|>>=?|->|[-+*/%&|^=<>!:]=|\n|[^\s]"
)
_LONG = 40
"""A longer string is one of many: its content says nothing about code."""
_START = "\n"


def tokens(text: str) -> list[str]:
    """The tokens of a piece of Python without comments and blank lines; a line's end is a token, indentation is not."""
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[0] == "#" or (token == "\n" and (not found or found[-1] == "\n")):
            continue
        found.append("<text>" if len(token) > _LONG and token[-1] in "\"'" else token)
    return found


class Idioms:
    """The token counts of a program's files, those given first, up to `MAX_CHARACTERS`."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._follow: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        self._seen: dict[tuple[str, ...], int] = defaultdict(int)
        size = 0
        for text in texts:
            if size > MAX_CHARACTERS:
                break
            size += len(text)
            self._count(tokens(text[:MAX_CHARACTERS]))
        self._known = len(self._follow[()]) + 1

    @classmethod
    def of(cls, sources: Mapping[str, SourceFile], first: Sequence[str]) -> "Idioms":
        """From a program's files: `first`, then those in the same folders, then the others."""
        folders = {path.rpartition("/")[0] for path in first}
        rest = sorted((p for p in sources if p not in first), key=lambda p: (p.rpartition("/")[0] not in folders, p))
        return cls(source.text for path in (*first, *rest) if (source := sources.get(path)) is not None)

    def _count(self, found: list[str]) -> None:
        padded = [_START, _START, *found]
        for at in range(2, len(padded)):
            for start in range(at - 2, at + 1):
                context = tuple(padded[start:at])
                self._follow[context][padded[at]] += 1
                self._seen[context] += 1

    def surprise(self, found: Sequence[str], start: int, end: int, known: int = 0) -> float:
        """Bits of the tokens `start:end` in their context, with the two tokens that follow them. `known` is how often
        this very code was counted, which is subtracted."""
        padded = [_START, _START, *found]
        last = min(len(padded), end + 4)
        return sum(self._bits(padded, at, known) for at in range(start + 2, last))

    def _bits(self, padded: Sequence[str], at: int, known: int) -> float:
        chance = 1.0 / self._known
        for start in (at, at - 1, at - 2):
            context = tuple(padded[start:at])
            follow = self._follow.get(context)
            if not follow:
                break
            count = max(0, follow.get(padded[at], 0) - known)
            total = max(0, self._seen[context] - known)
            kinds = max(1, len(follow) - (known and follow.get(padded[at], 0) <= known))
            chance = (count + kinds * chance) / (total + kinds)
        return -math.log2(chance)

    def gain(self, before: str, after: str) -> float:
        """How many bits less surprising the new code is than the code that it replaces, over the tokens that differ;
        negative when it is more surprising. Both texts are whole lines, of which `before` was counted."""
        old, new = tokens(before), tokens(after)
        head = 0
        while head < min(len(old), len(new)) and old[head] == new[head]:
            head += 1
        tail = 0
        while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
            tail += 1
        return self.surprise(old, head, len(old) - tail, known=1) - self.surprise(new, head, len(new) - tail)
