"""How natural code is for a project: how often its tokens follow each other in the project's own files.

A trigram model of the program's tokens with Witten-Bell smoothing (Bell, Cleary and Witten 1990, Text Compression,
section 4.5). That right code is more predictable than wrong code is measured by Ray et al. (2016, ICSE, "On the
naturalness of buggy code"). Not for deciding whether code is right.
"""

import difflib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from .changes import ProgramFile

MAX_CHARACTERS = 150_000
_TOKEN = re.compile(
    r"#[^\n]*|[rbfuRBFU]{0,2}(?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|[A-Za-z_]\w*|\d[\w.]*|\*\*=?|//=?|<<=?|>>=?|->|[-+*/%&|^=<>!:]=|\n|[^\s]"
)
_LONG = 40
"""A longer string is one of many: its content says nothing about code."""
_START = "\n"
_ALIGNED = 1_000
"""Tokens. Longer pieces count whole, since aligning them takes quadratic time."""


def tokens(text: str) -> list[str]:
    """The tokens of a piece of Python without comments and blank lines; a line's end is a token, indentation is not."""
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece[0] == "#" or (piece == "\n" and (not found or found[-1] == "\n")):
            continue
        found.append("<text>" if len(piece) > _LONG and piece[-1] in "\"'" else piece)
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
    def of(cls, sources: Mapping[str, ProgramFile], first: Sequence[str]) -> "Idioms":
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

    def surprise_of_change(self, before: str, after: str) -> float:
        """Bits of surprise of the tokens that `after` has in place of those of `before`, with the two tokens that
        follow them. Both texts are whole lines."""
        old, new = tokens(before), tokens(after)
        if max(len(old), len(new)) > _ALIGNED:
            changed = set(range(len(new)))
        else:
            changed = set()
            for tag, _, _, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
                if tag != "equal":
                    changed.update(range(start, min(len(new), end + 2)))
        padded = [_START, _START, *new]
        return sum(self._bits(padded, at + 2) for at in changed)

    def _bits(self, padded: Sequence[str], at: int) -> float:
        chance = 1.0 / self._known
        for start in (at, at - 1, at - 2):
            context = tuple(padded[start:at])
            follow = self._follow.get(context)
            if not follow:
                break
            chance = (follow.get(padded[at], 0) + len(follow) * chance) / (self._seen[context] + len(follow))
        return -math.log2(chance)
