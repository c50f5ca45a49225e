"""Markdown as Slack's mrkdwn (https://docs.slack.dev/messaging/formatting-message-text). Pure functions.

Everything is escaped, so that no text mentions anybody; what Slack has no form for (tables, headings) becomes lines.
"""

import re
from collections.abc import Iterator

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*)")
_BULLET = re.compile(r"^([ \t]{0,20})[-*+][ \t]+(?=\S)")
_BARS = re.compile(r"[ \t|:-]+")
_STARS = re.compile(r"[ \t]{0,3}(?:\*{3,}|_{3,})[ \t]*")
_ROW = re.compile(r"[ \t]*\|(.*)\|[ \t]*")
_COMMENT = re.compile(r"<!--.*?-->")
_LINK = re.compile(r"!?\[([^\[\]\n]{1,500})\]\((https?://[^\s()<>|]{1,2000})\)")
_ADDRESS = re.compile(r"https?://[^\s<>|`\"']{1,2000}")
_STRONG = re.compile(r"\*\*(?=\S)([^*\n]{1,2000}?)(?<=\S)\*\*")
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,2000}?)(?<=[^\s*])\*(?![\w*])")
_STRUCK = re.compile(r"~~(?=\S)([^~\n]{1,2000}?)(?<=\S)~~")
_HELD = re.compile("\ue000([0-9]{1,6})\ue001")
_OWN = str.maketrans("", "", "\ue000\ue001\ue002")


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mrkdwn(text: str) -> str:
    """`text`, which is Markdown, for Slack."""
    return "\n".join(_lines(text))


def parts(text: str, most: int) -> list[str]:
    """A mrkdwn text in parts of at most `most` characters, cut between lines where that is possible; a block of code
    that is cut goes on in the next part."""
    made: list[str] = []
    held, fenced = "", False
    for line in text.split("\n"):
        for piece in _pieces(line, most - 16):
            if held and len(held) + len(piece) + 8 > most:
                made.append(held + ("\n```" if fenced else ""))
                held = "```" if fenced else ""
            held = f"{held}\n{piece}" if held else piece
        fenced ^= line == "```"
    return [part for part in (*made, held) if part.strip()]


def _pieces(line: str, most: int) -> Iterator[str]:
    """A long line in pieces, none of which ends within an escape."""
    while len(line) > most:
        cut = max(line.rfind(" ", 0, most), most - 10)
        begun = line.rfind("&", cut - 6, cut)
        if begun >= 0 and ";" not in line[begun:cut]:
            cut = begun
        yield line[:cut]
        line = line[cut:]
    yield line


def _lines(text: str) -> Iterator[str]:
    fence = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        mark = _FENCE.match(line)
        if fence:
            ends = mark and mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not line[mark.end() :].strip()
            fence = "" if ends else fence
            yield "```" if ends else escaped(line).replace("```", "``\u200b`")
        elif mark:
            fence = mark[1]
            yield "```"
        elif not _is_rule(line):
            yield _line(_COMMENT.sub("", line) if "-->" in line else line)
    if fence:
        yield "```"


def _is_rule(line: str) -> bool:
    """Whether a line only separates: a horizontal rule, or the one below a table's head."""
    return ("---" in line and _BARS.fullmatch(line) is not None) or _STARS.fullmatch(line) is not None


def _line(line: str) -> str:
    if row := _ROW.fullmatch(line):
        cells = (cell.strip() for cell in re.split(r"(?<!\\)\|", row[1]))
        return "• " + " - ".join(_inline(cell.replace("\\|", "|")) for cell in cells if cell)
    if heading := _HEADING.fullmatch(line):
        said = _inline(heading[1].rstrip(" \t#").replace("*", ""))
        return f"*{said}*" if said else ""
    if line.startswith(">"):
        return ">" + _line(line[1:])
    return _inline(_BULLET.sub(r"\1• ", line, count=1))


def _inline(text: str) -> str:
    """Spans of a line. What must not be looked at again (code, addresses) is put aside meanwhile."""
    held: list[str] = []

    def aside(made: str) -> str:
        held.append(made)
        return f"\ue000{len(held) - 1}\ue001"

    def back(text: str) -> str:
        return _HELD.sub(lambda place: held[int(place[1])] if int(place[1]) < len(held) else "", text)

    def link(found: re.Match[str]) -> str:
        label = back(escaped(found[1])).replace("`", "").replace("|", "/")
        return aside(f"<{escaped(found[2])}|{label}>")

    def address(found: re.Match[str]) -> str:
        kept = found[0].rstrip(".,;:!?)*_~")
        return aside(f"<{escaped(kept)}>") + found[0][len(kept) :]

    text = _SPAN.sub(lambda span: aside(f"`{escaped(span[2].strip()) or ' '}`"), text.translate(_OWN))
    text = escaped(_ADDRESS.sub(address, _LINK.sub(link, text)))
    text = _EMPHASIS.sub(r"_\1_", _STRONG.sub("\ue002\\1\ue002", text)).replace("\ue002", "*")
    return back(_STRUCK.sub(r"~\1~", text))
