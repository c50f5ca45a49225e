"""What somebody says in a comment in Markdown, without what they only quote or show as code."""

import re

MOST_LINES = 2_000

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


def spoken_lines(text: str) -> list[str]:
    """The lines of a comment, at most `MOST_LINES`; those that are quoted or code are empty, code spans a backtick."""
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
