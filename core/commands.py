"""Commands that people write to Penstock in a ticket's comments: `/penstock retry` on a line of its own.

Text that only quotes or shows a command is not one: quotations, code, HTML comments, and Penstock's own comments.
"""

import re
from enum import StrEnum

MOST = 5
"""The most commands of one comment."""
MOST_LINES = 2_000
OWN_MARK = "<!-- penstock "
"""Every comment of Penstock's own holds this (`core.forge.texts.marker`)."""

_LINE = re.compile(r" {0,3}/penstock(?:[ \t]+([^\s]{1,40}))?[ \t]*(?:$|[ \t].*$)", re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


class Command(StrEnum):
    RETRY = "retry"
    EXPLAIN = "explain"
    STOP = "stop"
    APPROVE = "approve"
    HELP = "help"


_KNOWN = frozenset(str(command) for command in Command)


def find_commands(text: str) -> tuple[Command, ...]:
    """The commands of a comment in order, each once, at most `MOST`. One that is not known is `Command.HELP`."""
    if OWN_MARK in text:
        return ()
    found: dict[Command, None] = {}
    for line in _said(text):
        match = _LINE.match(line)
        if match:
            word = (match[1] or "help").lower()
            found[Command(word) if word in _KNOWN else Command.HELP] = None
    return tuple(found)[:MOST]


def without_commands(text: str) -> str:
    """What a comment says beside its commands."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line for line in lines if not _LINE.match(line)).strip()


def _said(text: str) -> list[str]:
    """The lines that are neither code nor quoted."""
    lines: list[str] = []
    fence = ""
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n", MOST_LINES)[:MOST_LINES]:
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not line[mark.end() :].strip():
                fence = ""
            lines.append("")
        elif mark:
            fence = mark[1]
            lines.append("")
        elif line.lstrip().startswith(">") or line.startswith(("    ", "\t")):
            lines.append("")
        else:
            lines.append(line)
    whole = _COMMENT.sub(lambda m: "\n" * m[0].count("\n"), "\n".join(lines))
    return _CODE_SPAN.sub(lambda m: "`" + "\n" * m[0].count("\n"), whole).split("\n")
