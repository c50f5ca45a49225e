"""The numbers that a text gives, in digits or in words: `10`, `1,000`, `30s`, `29th`, "ten", "a dozen", "twenty-five",
"third", "half an hour" (0.5, and in smaller units 30 and 1800). Not for programs, whose numbers Python reads."""

import re
from typing import NamedTuple

MOST_NUMBERS = 2_000
"""Numbers of one text that are read."""
_ONES = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen",
)
_TENS = re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINALS = re.findall(r"\w+", "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth")
_WORDS = {
    **{word: float(number) for number, word in enumerate(_ONES)},
    **{word: 20.0 + 10 * number for number, word in enumerate(_TENS)},
    **{word: 3.0 + number for number, word in enumerate(_ORDINALS)},
    "twice": 2.0,
    "half": 0.5,
}
"""Without "first" and "second", which seldom mean a number."""
_SCALES = {"dozen": 12.0, "hundred": 100.0, "thousand": 1_000.0, "million": 1_000_000.0}
_ARTICLES = frozenset({"a", "an"})
_PRONOUNS = _ARTICLES | {"one"}
"""Words that stand for 1 only before a unit."""
_UNITS: dict[str, tuple[float, ...]] = {
    "minute": (60,),
    "hour": (60, 3_600),
    "day": (24, 86_400),
    "week": (7, 604_800),
    "year": (12, 365),
    "percent": (0.01,),
    "%": (0.01,),
    "kb": (1_000, 1_024),
    "kib": (1_024,),
    "mb": (1_000_000, 1_048_576),
    "mib": (1_048_576,),
}
"""What one of a unit is in smaller ones."""
_TOKEN = re.compile(
    r"(?<![\w.])(?P<digits>-?\d{1,3}(?:[,_]\d{3})+(?:\.\d{1,15})?|-?\d{1,15}(?:\.\d{1,15})?)(?![\d.]*\d)"
    r"(?P<ending>[A-Za-z]{0,3})(?!\w)|(?P<word>%|(?<![\w])[A-Za-z]{1,10}(?!\w))"
)
_MOST_WORDS = 8
_NEAR = re.compile(r"[ \t\n-]{0,3}")


class _Piece(NamedTuple):
    """A number in digits with the letters at its end, or a word, in lower case. `near`: directly after the last one."""

    number: float | None
    word: str
    near: bool


def numbers(text: str) -> frozenset[float]:
    """The numbers that a text gives, each also in smaller units where it gives a unit."""
    pieces = _pieces(text)
    found: set[float] = set()
    at = 0
    while at < len(pieces) and len(found) < MOST_NUMBERS:
        piece = pieces[at]
        if piece.number is None:
            number, after = _spelled(pieces, at)
        else:
            number, after = piece.number, at + 1
        if number is not None:
            factors = _UNITS.get(_singular(piece.word), ()) if piece.number is not None else ()
            factors = factors or _factors(pieces, after)
            if factors or after > at + 1 or piece.word not in _PRONOUNS:
                found.add(number)
            found.update(round(number * factor, 9) for factor in factors)
        at = after
    return frozenset(found)


def _pieces(text: str) -> list[_Piece]:
    pieces = []
    end = 0
    for match in _TOKEN.finditer(text):
        near = _NEAR.fullmatch(text, end, match.start()) is not None
        digits = match["digits"]
        number = float(digits.replace(",", "").replace("_", "")) if digits else None
        pieces.append(_Piece(number, (match["ending"] or match["word"] or "").lower(), near))
        end = match.end()
    return pieces


def _spelled(pieces: list[_Piece], at: int) -> tuple[float | None, int]:
    """The number in words that begins at a piece, None if none does, and the place after it."""
    total = part = 0.0
    after = at
    for place in range(at, min(at + _MOST_WORDS, len(pieces))):
        number, word, near = pieces[place]
        if number is not None or (place > at and not near):
            break
        if word in _SCALES:
            part = (part or 1.0) * _SCALES[word]
            if part >= 1_000:
                total, part = total + part, 0.0
        elif word in _WORDS and (after == at or _goes_on(total, part, _WORDS[word])):
            part += _WORDS[word]
        elif word not in _ARTICLES:
            break
        else:
            continue
        after = place + 1
    if after == at:
        return (1.0 if pieces[at].word in _ARTICLES else None), at + 1
    return total + part, after


def _goes_on(total: float, part: float, number: float) -> bool:
    """Whether a number in words continues the one before it, as in "twenty-five": not in "two three"."""
    step = 10 if 20 <= part < 100 else 100
    return (part or total) >= 20 and part % step == 0 and number < step


def _factors(pieces: list[_Piece], after: int) -> tuple[float, ...]:
    """What the unit behind a number is in smaller units; nothing when no unit follows."""
    for piece in pieces[after : after + 3]:
        if piece.number is not None or not piece.near:
            return ()
        if piece.word not in _ARTICLES:
            return _UNITS.get(_singular(piece.word), ())
    return ()


def _singular(word: str) -> str:
    return word if word in _UNITS else word.removesuffix("s")
