"""What sentences beside a code block, and sections such as "Expected behaviour", state of the block's last call."""

import re

from assets.executions.attempt.derived.claims import Kind, Stated
from assets.executions.attempt.derived.markdown import Block
from assets.executions.attempt.derived.reading import Reading
from assets.executions.attempt.derived.stated import Roles, of_code, roles_in, value_at

_TICKED = re.compile(r"`([^`\n]{1,300})`")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def stated_beside(reading: Reading, at: int) -> Roles:
    """What is stated of the block at this position: by the paragraphs behind it, by the one before it, and by sections
    of which the heading says whether they are right."""
    blocks = reading.blocks
    after, number = [], at + 1
    while number < len(blocks) and not blocks[number].code and not blocks[number].role:
        after.append(_without_calls(reading, blocks[number].text))
        number += 1
    before = ""
    if at and not blocks[at - 1].code and not blocks[at - 1].role:
        before = _without_calls(reading, blocks[at - 1].text)
    expected, actual = _section(reading, "expected"), _section(reading, "actual")
    for roles in (roles_in("\n".join(after)), roles_in(before)):
        expected, actual = expected or roles.expected, actual or roles.actual
    return Roles(expected, None if actual == expected else actual)


def _section(reading: Reading, role: str) -> Stated | None:
    """The value that the issue's only section of a role holds: its code, else the first value in its text."""
    blocks = [block for block in reading.blocks if block.role == role]
    code = [block for block in blocks if block.code]
    if len(code) == 1 and not _session(code[0]):
        stated = of_code(code[0].text)
        return (
            Stated(Kind.SHOWN, stated.text, exact=False)
            if stated.kind is Kind.VALUE and "\n" in stated.text
            else stated
        )
    for block in blocks:
        if block.code:
            continue
        roles = roles_in(block.text)
        named = (roles.expected if role == "expected" else roles.actual) or value_at(block.text)
        if named is not None:
            return named
    return None


def _session(block: Block) -> bool:
    return block.text.lstrip().startswith(("Traceback", ">>>", "$ ", "In ["))


def _without_calls(reading: Reading, text: str) -> str:
    """The text without its sentences about other calls in backticks."""
    kept = []
    for sentence in _SENTENCE.split(text):
        ticked = [match[1] for match in _TICKED.finditer(sentence)]
        if not any("(" in code and reading.mentions_project(code) for code in ticked):
            kept.append(sentence)
    return " ".join(kept)
