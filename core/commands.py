"""Commands that people write to Penstock in a ticket's comments: `/penstock retry` on a line of its own.

Text that only quotes or shows a command is not one: quotations, code, HTML comments, and Penstock's own comments.
"""

import re
from enum import StrEnum

from core.spoken import spoken_lines

MOST = 5
"""The most commands of one comment."""
OWN_MARK = "<!-- penstock "
"""Every comment of Penstock's own at a forge holds this (`core.forge.texts.marker`)."""
OWN_SIGN = "\N{INVISIBLE SEPARATOR}\N{WORD JOINER}\N{INVISIBLE SEPARATOR}"
"""What a comment of Penstock's own holds at a tracker, where HTML comments would be shown."""

_LINE = re.compile(r" {0,3}/penstock(?:[ \t]+([^\s]{1,40}))?[ \t]*(?:$|[ \t].*$)", re.IGNORECASE)


class Command(StrEnum):
    START = "start"
    RETRY = "retry"
    EXPLAIN = "explain"
    STOP = "stop"
    APPROVE = "approve"
    HELP = "help"


_KNOWN = frozenset(str(command) for command in Command)


def is_own(text: str) -> bool:
    """Whether a comment is Penstock's own, or copied from one."""
    return OWN_MARK in text or OWN_SIGN in text


def find_commands(text: str) -> tuple[Command, ...]:
    """The commands of a comment in order, each once, at most `MOST`. One that is not known is `Command.HELP`."""
    if is_own(text):
        return ()
    found: dict[Command, None] = {}
    for line in spoken_lines(text):
        match = _LINE.match(line)
        if match:
            word = (match[1] or "help").lower()
            found[Command(word) if word in _KNOWN else Command.HELP] = None
    return tuple(found)[:MOST]


def without_commands(text: str) -> str:
    """What a comment says beside its commands."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line for line in lines if not _LINE.match(line)).strip()


def spelled_out(text: str, called: str) -> str:
    """`text` with `/penstock stop` in place of each line that says only `@called stop`, as one speaks to an app in a
    chat; a text that says `@called` alone asks for help. Any other text is left as it is, and may be a request."""
    address = re.compile(rf" {{0,3}}@{re.escape(called)}(?:[ \t]*[,:])?(?:[ \t]+([a-z]{{1,40}}))?", re.I)

    def addressed(line: str) -> re.Match[str] | None:
        said = line.rstrip(" \t")
        return address.fullmatch(said[:-1].rstrip(" \t") if said.endswith((".", "!")) else said)

    def line_of(line: str) -> str:
        match = addressed(line)
        word = (match[1] or "").lower() if match else ""
        return f"/penstock {word}" if word in _KNOWN else line

    alone = addressed(text.strip())
    return "/penstock help" if alone and not alone[1] else "\n".join(map(line_of, text.splitlines()))
