"""Claims from interactive examples: `>>> f(2)` or `In [1]: f(2)`, with their output below.

The output may be the right one or the wrong one: a comment, a sentence beside it or what the base shows decides.
"""

import doctest
import re

from assets.executions.attempt.derived.beside import stated_beside
from assets.executions.attempt.derived.claims import Claim, Kind, Stated
from assets.executions.attempt.derived.markdown import Block
from assets.executions.attempt.derived.reading import Reading
from assets.executions.attempt.derived.safe_code import parsed
from assets.executions.attempt.derived.snippets import commented
from assets.executions.attempt.derived.stated import Roles

MOST_STEPS = 30
_IN = re.compile(r"^In \[\d{1,5}\]: ?")
_CONTINUED = re.compile(r"^ {0,8}\.{3,6}: ?")
_OUT = re.compile(r"^Out\[\d{1,5}\]: ?")


def is_session(block: Block) -> bool:
    return any(line.lstrip().startswith((">>> ", "In [")) for line in block.text.splitlines())


def claims_of_session(reading: Reading, at: int) -> list[Claim]:
    """The claims of the interactive session in the block at this position."""
    block = reading.blocks[at]
    steps = _steps(block.text)
    group = reading.group()
    found: list[Claim] = []
    before: list[str] = []
    for source, want, raises in steps:
        comment, roles, plain = commented(source)
        subject = comment
        shown = Stated(Kind.RAISES, raises) if raises else Stated(Kind.SHOWN, want) if want else plain
        claim = _with_roles(Claim("example", subject, "\n".join(before), shown=shown, group=group), roles, block.role)
        if shown is not None or claim.expected is not None:
            found.append(claim)
        if not raises:
            before.append(subject)
    if len(found) == 1:
        found = [_with_roles(found[0], stated_beside(reading, at), "")]
    reading.remember("\n".join(before))
    return [made for claim in found if (made := reading.claim(claim)) is not None]


def _with_roles(claim: Claim, roles: Roles, role: str) -> Claim:
    """The claim with what is stated beside it: an output that is said to be wrong, or is not the right one, is the
    actual one."""
    expected, actual, shown = claim.expected or roles.expected, claim.actual or roles.actual, claim.shown
    if shown is not None and role == "expected":
        expected, shown = expected or shown, None
    elif shown is not None and role == "actual":
        actual, shown = actual or shown, None
    if shown is not None and expected is not None:
        if not _same(shown, expected):
            actual = actual or shown
        shown = None
    elif shown is not None and actual is not None:
        if not _same(shown, actual):
            expected = shown
        shown = None
    return Claim(claim.source, claim.subject, claim.code, expected, actual, shown, group=claim.group)


def _same(one: Stated, other: Stated) -> bool:
    return one.text.strip() == other.text.strip()


def _steps(text: str) -> list[tuple[str, str, str]]:
    """(source, output, exception) of each input of a session, up to the first that does not parse."""
    lines = []
    for raw in text.splitlines():
        line = raw.strip() if raw.lstrip().startswith((">>>", "... ")) else raw.rstrip()
        if _IN.match(line):
            line = f">>> {_IN.sub('', line)}"
        elif _CONTINUED.match(line):
            line = f"... {_CONTINUED.sub('', line)}"
        lines.append(_OUT.sub("", line))
    try:
        examples = doctest.DocTestParser().get_examples("\n".join(lines) + "\n")
    except ValueError:
        return []
    found: list[tuple[str, str, str]] = []
    for example in examples[:MOST_STEPS]:
        if parsed(example.source) is None:
            break
        raises = (example.exc_msg or "").partition(":")[0].strip()
        if raises and not re.fullmatch(r"[\w.]{1,120}", raises):
            break
        found.append((example.source.strip("\n"), "" if raises else example.want.strip("\n").strip(), raises))
    return found
