"""Claims from tracebacks that end in the repository: the call that leads there should not raise that exception.

The call is that of the code block before the traceback, or the line of its frame that calls into the repository.
Without one, the traceback only names places, which localisation uses.
"""

import ast
import re
from dataclasses import dataclass

from assets.executions.attempt.derived.beside import stated_beside
from assets.executions.attempt.derived.claims import Claim, Kind, Stated
from assets.executions.attempt.derived.reading import Reading
from assets.executions.attempt.derived.safe_code import parsed
from assets.executions.attempt.derived.snippets import is_snippet

MOST_FRAMES = 200
_FRAME = re.compile(r'File "([^"\n]{1,400})", line (\d{1,7})(?:, in (\S{1,120}))?')
_ENDING = re.compile(r"([A-Za-z_][\w.]{0,120})(?::\s?(.{0,400}))?$")


@dataclass(frozen=True)
class Trace:
    """A traceback of a text: its exception, the last place in the repository, and the line that calls into it."""

    exception: str
    place: str
    caller: str


def traces_in(text: str, paths: tuple[str, ...]) -> list[Trace]:
    """The tracebacks of a text whose last frames lie in the repository; of a chain, the last."""
    found = []
    for part in text.split("Traceback (most recent call last):")[1:6]:
        frames: list[tuple[str, int, str]] = []
        exception = ""
        lines = part.split("\n")[: 3 * MOST_FRAMES]
        for number, line in enumerate(lines):
            if match := _FRAME.search(line):
                following = lines[number + 1].strip() if number + 1 < len(lines) else ""
                frames.append((match[1], int(match[2]), "" if _FRAME.search(following) else following))
            elif frames and line.strip() and not line.startswith((" ", "\t")):
                if ending := _ENDING.match(line.strip()):
                    exception = ending[1]
                break
        places = [_in_repository(path, paths) for path, _, _ in frames]
        inside = [n for n, place in enumerate(places) if place]
        if exception and inside and inside[-1] >= len(frames) - 3:
            last, first = inside[-1], inside[0]
            caller = frames[first - 1][2] if first else ""
            found.append(Trace(exception, f"{places[last]}:{frames[last][1]}", caller))
    return found


def claims_of_traceback(reading: Reading, at: int, trace: Trace) -> list[Claim]:
    """The claim of a traceback in the block at this position; none without a call that leads to it."""
    raised = Stated(Kind.RAISES, trace.exception)
    for number in range(at - 1, max(-1, at - 5), -1):
        block = reading.blocks[number]
        if block.code and is_snippet(block, reading) and (tree := parsed(block.text)) is not None and tree.body:
            code = "\n".join(ast.unparse(node) for node in tree.body[:-1])
            expected = stated_beside(reading, at).expected
            claim = Claim("traceback", ast.unparse(tree.body[-1]), code, expected, raised, group=reading.group())
            return [made] if (made := reading.claim(claim)) is not None else []
    if trace.caller and reading.mentions_project(trace.caller):
        claim = Claim("traceback", trace.caller, actual=raised, group=reading.group())
        return [made] if (made := reading.claim(claim)) is not None else []
    return []


def _in_repository(path: str, paths: tuple[str, ...]) -> str:
    """The file of the repository that a path on another machine names, empty when none."""
    path = path.replace("\\", "/")
    for own in paths:
        short = own.removeprefix("src/").removeprefix("lib/")
        if path in (own, short) or path.endswith(f"/{short}"):
            return own
    return ""
