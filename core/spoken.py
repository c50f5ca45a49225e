"""What somebody says in a comment in Markdown or Jira's wiki markup, without what they only quote or show as code."""

import re

MOST_LINES = 2_000

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_QUOTED = re.compile(r" {0,3}>(?!>>)")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_MACRO = re.compile(r"\{(quote|code|noformat)(:[^{}\n]*)?\}", re.IGNORECASE)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


def spoken_lines(text: str) -> list[str]:
    """The lines of a comment, at most `MOST_LINES`; those that are quoted or code are empty, code spans a backtick."""
    lines: list[str] = []
    fence = ""
    text = _without_macros(text.replace("\r\n", "\n").replace("\r", "\n"))
    for line in text.split("\n", MOST_LINES)[:MOST_LINES]:
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not line[mark.end() :].strip():
                fence = ""
            lines.append("")
        elif mark:
            fence = mark[1]
            lines.append("")
        elif line.lstrip().startswith((">", "bq. ")) or line.startswith(("    ", "\t")):
            lines.append("")
        else:
            lines.append(line)
    whole = _COMMENT.sub(lambda m: "\n" * m[0].count("\n"), "\n".join(lines))
    return _CODE_SPAN.sub(lambda m: "`" + "\n" * m[0].count("\n"), whole).split("\n")


def without_quotations(text: str) -> str:
    """The text without lines that quote another (`> …`). Code stays: what is fenced, and the prompt `>>>`."""
    kept: list[str] = []
    fence = ""
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not line[mark.end() :].strip():
                fence = ""
        elif mark:
            fence = mark[1]
        elif _QUOTED.match(line):
            continue
        kept.append(line)
    return "\n".join(kept).strip()


def _without_macros(text: str) -> str:
    """The text without the quotations and code of wiki markup, whose line breaks stay. An end without a beginning, or
    the other way round, is text."""
    parts, last, opened = [], 0, None
    for tag in _MACRO.finditer(text):
        if opened is None:
            opened = tag
        elif tag[1].lower() == opened[1].lower() and not tag[2]:
            parts += [text[last : opened.start()], "\n" * text.count("\n", opened.start(), tag.end())]
            last, opened = tag.end(), None
    return "".join(parts) + text[last:]
