"""What an issue says about the program: a claim is one call with what it gives, and what it should give."""

from dataclasses import dataclass
from enum import StrEnum

MOST_TEXT = 40_000
"""Characters of an issue that are read."""
MOST_CLAIMS = 24
"""Claims that are looked at in the sandbox."""
MOST_TESTS = 10
"""Tests that are made of them."""


class Kind(StrEnum):
    """What is stated of a call: an expression that it equals, what an interactive session shows or what it writes to
    standard output, an exception that it raises, or only that it is true."""

    VALUE = "value"
    SHOWN = "shown"
    OUTPUT = "output"
    RAISES = "raises"
    TRUE = "true"


@dataclass(frozen=True)
class Stated:
    """`text` is an expression, the text that is shown, or the exception's name, by `kind`. `exact` is false for a text
    in a sentence, which may be a string without its quotes."""

    kind: Kind
    text: str = ""
    exact: bool = True


@dataclass(frozen=True)
class Claim:
    """One call of the program as an issue describes it.

    `code` are statements that lead to it, `subject` is the expression or statement that is judged. Of what is stated,
    `expected` should be, `actual` is wrong, and of `shown` the text does not say which. `group` is the same for claims
    of one example.
    """

    source: str
    subject: str
    code: str = ""
    expected: Stated | None = None
    actual: Stated | None = None
    shown: Stated | None = None
    imports: tuple[str, ...] = ()
    group: int = 0
    command: str = ""
    """The command line, where it is one."""

    @property
    def name(self) -> str:
        """The call in a line, for a report."""
        text = self.command or " ".join(self.subject.split())
        return text if len(text) <= 100 else f"{text[:97]}..."
