"""Turns text into tokens."""

from __future__ import annotations

from dataclasses import dataclass

SYMBOLS = ("<=", ">=", "<>", "+", "-", "*", "/", "//", "%", "^", "(", ")", ",", "<", ">", "=", "&")
_LONGEST_FIRST = sorted(SYMBOLS, key=len, reverse=True)


class LexError(ValueError):
    def __init__(self, text: str, position: int) -> None:
        super().__init__(f"unexpected {text[position]!r} at {position}")
        self.position = position


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    position: int


def tokenize(text: str) -> list[Token]:
    """Tokens of kinds number, name, string, symbol, and one `end`. Raises `LexError`."""
    tokens = []
    position = 0
    while position < len(text):
        character = text[position]
        if character.isspace():
            position += 1
            continue
        if character.isdigit() or (character == "." and text[position + 1 : position + 2].isdigit()):
            end = _number_end(text, position)
            tokens.append(Token("number", text[position:end], position))
        elif character.isalpha() or character == "_":
            end = position
            while end < len(text) and (text[end].isalnum() or text[end] == "_"):
                end += 1
            tokens.append(Token("name", text[position:end], position))
        elif character == '"':
            end = text.find('"', position + 1) + 1
            if end == 0:
                raise LexError(text, position)
            tokens.append(Token("string", text[position + 1 : end - 1], position))
        else:
            symbol = next((one for one in _LONGEST_FIRST if text.startswith(one, position)), None)
            if symbol is None:
                raise LexError(text, position)
            end = position + len(symbol)
            tokens.append(Token("symbol", symbol, position))
        position = end
    tokens.append(Token("end", "", len(text)))
    return tokens


def _number_end(text: str, position: int) -> int:
    end = position
    seen_dot = False
    while end < len(text) and (text[end].isdigit() or (text[end] == "." and not seen_dot)):
        seen_dot = seen_dot or text[end] == "."
        end += 1
    return end
