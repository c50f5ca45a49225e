"""A precedence-climbing parser."""

from __future__ import annotations

from tokenmill.lexer import Token, tokenize
from tokenmill.tree import Binary, Call, Name, Node, Number, Text, Unary

PRECEDENCE = {
    "=": 1, "<>": 1, "<": 1, ">": 1, "<=": 1, ">=": 1,
    "&": 2,
    "+": 3, "-": 3,
    "*": 4, "/": 4, "//": 4, "%": 4,
    "^": 6,
}
UNARY = 5
RIGHT_ASSOCIATIVE = {"^"}


class ParseError(ValueError):
    def __init__(self, token: Token, expected: str) -> None:
        found = token.text or "the end"
        super().__init__(f"expected {expected} at {token.position}, found {found}")
        self.position = token.position


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._next]

    def advance(self) -> Token:
        token = self.token
        self._next += 1
        return token

    def accept(self, text: str) -> bool:
        if self.token.kind == "symbol" and self.token.text == text:
            self._next += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise ParseError(self.token, repr(text))

    def expression(self, lowest: int = 1) -> Node:
        left = self.operand()
        while True:
            operator = self.token.text
            precedence = PRECEDENCE.get(operator) if self.token.kind == "symbol" else None
            if precedence is None or precedence < lowest:
                return left
            self.advance()
            following = precedence if operator in RIGHT_ASSOCIATIVE else precedence + 1
            right = self.expression(following)
            left = Binary(operator, left, right)

    def operand(self) -> Node:
        if self.accept("-"):
            return Unary("-", self.expression(UNARY))
        if self.accept("+"):
            return self.expression(UNARY)
        if self.accept("("):
            inner = self.expression()
            self.expect(")")
            return inner
        token = self.advance()
        if token.kind == "number":
            return Number(float(token.text))
        if token.kind == "string":
            return Text(token.text)
        if token.kind == "name":
            if self.accept("("):
                return Call(token.text.lower(), self.arguments())
            return Name(token.text.lower())
        raise ParseError(token, "a value")

    def arguments(self) -> tuple[Node, ...]:
        if self.accept(")"):
            return ()
        found = [self.expression()]
        while self.accept(","):
            found.append(self.expression())
        self.expect(")")
        return tuple(found)


def parse(text: str) -> Node:
    """The tree of a formula, with or without the leading `=`. Raises `ParseError` or `LexError`."""
    stripped = text.strip()
    if stripped.startswith("="):
        stripped = stripped[1:]
    parser = _Parser(tokenize(stripped))
    node = parser.expression()
    if parser.token.kind != "end":
        raise ParseError(parser.token, "the end")
    return node
