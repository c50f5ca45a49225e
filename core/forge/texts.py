"""Texts for a forge: bounded, without mentions, and with the hidden marker by which they are found again."""

import re
import uuid

TITLE_CHARACTERS = 200
_MENTION = re.compile(r"@(?=[A-Za-z0-9_{])")
"""`@name`, and `@{account id}` as Bitbucket writes it."""
_REFERENCE = re.compile(r"([#!])(?=[0-9])")
_CUT = "\n\n… the rest is stored with the task.\n"
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_SPAN = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)")
_LONGEST_FENCE = 200
_COMMENT_MARK = re.compile(r"<!-- (penstock [^()<>\n]{1,200}) -->\s*\Z")
_REFERENCE_MARK = re.compile(r"^\[//\]: # \((penstock [^()<>\n]{1,200})\)[ \t]*$", re.MULTILINE)


def marker(task_id: uuid.UUID, attempt: int | None = None) -> str:
    """A comment that Markdown does not show. With `attempt`, that of a pull request; without, of a status comment."""
    return f"<!-- penstock task={task_id}" + (f" attempt={attempt}" if attempt is not None else " status") + " -->"


def answer_marker(command_id: uuid.UUID) -> str:
    """The marker of the comment that answers a command."""
    return f"<!-- penstock answer={command_id} -->"


def question_marker(task_id: uuid.UUID, attempt: int) -> str:
    """The marker of the comment that asks what an attempt needs."""
    return f"<!-- penstock question={task_id} attempt={attempt} -->"


def with_reference_mark(text: str) -> str:
    """`text` with the marker at its end as a link reference definition, which Markdown does not show either. For
    services that show HTML comments."""
    return _COMMENT_MARK.sub(r"[//]: # (\1)", text)


def with_comment_mark(text: str) -> str:
    """The text that `with_reference_mark` was given."""
    return _REFERENCE_MARK.sub(r"<!-- \1 -->", text)


def quiet(text: str) -> str:
    """`text` with a joiner after each `@` that could begin a mention, so that it notifies nobody. Code stays as it is,
    since forges take no mentions from it."""
    made, fence = [], ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if found:
            fence = _after(fence, found[1])
        made.append(line if found or fence else _outside_code(line))
    return "\n".join(made)


def _outside_code(line: str) -> str:
    parts, last = [], 0
    for span in _SPAN.finditer(line):
        parts += [_MENTION.sub("@\N{WORD JOINER}", line[last : span.start()]), span[0]]
        last = span.end()
    return "".join(parts) + _MENTION.sub("@\N{WORD JOINER}", line[last:])


def _after(fence: str, mark: str) -> str:
    """The fence that is open after a line that begins with `mark`: one of the same kind and length closes it."""
    if not fence:
        return mark
    return "" if mark[0] == fence[0] and len(mark) >= len(fence) else fence


def plain_title(text: str) -> str:
    """One line of at most `TITLE_CHARACTERS`, without mentions, and without references: "Fix: #5" closes issue 5."""
    line = _quiet_line(" ".join("".join(c if c.isprintable() else " " for c in text).split()))
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1].rstrip() + "…"


def plain_message(text: str) -> str:
    """A commit message without mentions, and without references in its first line."""
    first, newline, rest = text.partition("\n")
    return _quiet_line(first) + newline + _MENTION.sub("@\N{WORD JOINER}", rest)


def _quiet_line(line: str) -> str:
    return _REFERENCE.sub(r"\1" + "\N{WORD JOINER}", _MENTION.sub("@\N{WORD JOINER}", line))


def bounded(text: str, mark: str, most: int) -> str:
    """`text` without mentions and with `mark` at its end, in at most `most` characters; a code fence that is cut is
    closed."""
    body = quiet(text).strip()
    if len(body) + len(mark) + 2 > most:
        body = body[: most - len(mark) - len(_CUT) - _LONGEST_FENCE - 4]
        body = body[: body.rfind("\n") + 1] or body
        fence = ""
        for line in body.split("\n"):
            if found := _FENCE.match(line):
                fence = _after(fence, found[1])
        body = body.rstrip() + (f"\n{fence}" if 0 < len(fence) <= _LONGEST_FENCE else "") + _CUT.rstrip()
    return f"{body}\n\n{mark}"
