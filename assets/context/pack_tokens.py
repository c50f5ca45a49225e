"""How many tokens a text is to a language model, estimated from its characters.

Held against the Llama 2 tokenizer over 2,700 chunks of nine languages, the estimate of a whole
language's code is 0.94 to 1.16 of the true count, and that of one chunk 0.96 to 1.25 for nine in ten.
Newer tokenizers make fewer tokens of code, so it errs to the safe side. Characters divided by four
gives 0.57 to 0.88 there: code has more marks and shorter words than prose.
"""

import re
from functools import lru_cache

_PIECES = re.compile(
    r"(?P<word>[A-Z]+(?![a-z])|[A-Z]?[a-z]+)|(?P<digit>\d)|(?P<marks>[!-/:-@\[-`{-~]+)|(?P<other>[^\x00-\x7f])"
)
_LINE, _INDENT, _WORD, _LETTER, _DIGIT, _MARKS, _MARK, _OTHER = 90, 120, 106, 10, 122, 100, 31, 320
"""In hundredths of a token, fitted by least squares of the relative error and raised by a tenth."""

_SHORT = 4


@lru_cache(maxsize=50_000)
def line_cost(line: str) -> int:
    """The cost of one line with its line feed, in hundredths of a token."""
    cost = _LINE + (_INDENT if line[:1] in (" ", "\t") else 0)
    for piece in _PIECES.finditer(line):
        length = piece.end() - piece.start()
        if piece.lastgroup == "word":
            cost += _WORD + _LETTER * max(0, length - _SHORT)
        elif piece.lastgroup == "digit":
            cost += _DIGIT
        elif piece.lastgroup == "marks":
            cost += _MARKS + _MARK * length
        else:
            cost += _OTHER
    return cost


def text_cost(text: str) -> int:
    """In hundredths of a token. The cost of lines adds up to that of their text."""
    return sum(map(line_cost, text.split("\n"))) if text else 0


def estimate_tokens(text: str) -> int:
    """Tokens of a text, rounded up."""
    return -(-text_cost(text) // 100)
