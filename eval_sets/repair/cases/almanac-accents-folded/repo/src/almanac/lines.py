"""Lines of the exchange format: `NAME:value`, at most 75 octets each, with longer ones folded."""

import re

MOST = 75
"""Octets of a line, without its end."""

_ESCAPED = {"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"}
_MEANING = {"n": "\n", "N": "\n"}


def escape(text):
    """A text as the value of a property."""
    return "".join(_ESCAPED.get(letter, letter) for letter in text.replace("\r\n", "\n"))


def unescape(value):
    """The text that a value stands for."""
    return re.sub(r"\\(.)", lambda match: _MEANING.get(match[1], match[1]), value)


def fold(line):
    """The lines for one logical line: each but the first begins with a space, which is not part of it."""
    pieces = []
    piece = ""
    for letter in line:
        if len(piece + letter) > MOST:
            pieces.append(piece)
            piece = " "
        piece += letter
    return [*pieces, piece]


def unfold(text):
    """The logical lines of a text. Empty ones are left out."""
    joined = re.sub(r"\r?\n[ \t]", "", text)
    return [line for line in joined.splitlines() if line]
