"""Reads Markdown, reStructuredText, plain text and notebooks into blocks under their headings, line by line.

Not a renderer: emphasis and links are reduced to their text, so that a quote reads as a sentence.
"""

import html
import json
import re
from collections.abc import Iterator

from assets.research.corpora.directives import without_directives
from assets.research.records import Block

_ATX = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"^([=\-~^\"'`#*+.:_])\1{2,}\s*$")
_LIST = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_FENCE = re.compile(r"^\s*(```+|~~~+)")
_DIRECTIVE = re.compile(r"^\.\. +(?:[\w-]+::|\[|_|\|)|^:[\w-]+:(?:\s|$)")
_LINK = re.compile(r"!?\[([^\]\n]{0,500})\]\((?:[^()\s]{0,2000}|<[^>]{0,2000}>)(?:\s+\"[^\"]*\")?\)")
_REFERENCE = re.compile(r"`([^`<>]{1,300}?)\s*<[^>]{1,500}>`__?")
_ROLE = re.compile(r"(?<![`\w])(?:\{[a-zA-Z][\w:.+-]{0,60}\}|:[a-zA-Z][\w:.+-]{0,60}:)`([^`\n]{1,500})`(?!`)")
_TITLED = re.compile(r"^(.*\S)\s*<[^<>]*>$")
_MARKS = re.compile(r"(?<![\w*])(\*{1,3}|_{2,3})(?=\S)(.{1,500}?)(?<=\S)\1(?![\w*])|``?([^`\n]{1,300})``?")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>|<!--.*?-->", re.DOTALL)
_ADMONITION = re.compile(r"^\s*(?:(?:!!!|\?\?\?\+?)\s+[\w-]+(?:\s+[\w-]+)*(?:\s+\".*\")?|===!?\s+\".*\"|\[!\w+\])\s*$")
"""Opens a note or a tab: https://squidfunk.github.io/mkdocs-material/reference/admonitions, and alerts of GitHub."""
_QUOTED = re.compile(r"^\s{0,3}>\s?")
_TERM_LEVEL = 20
"""Terms of definition lists are headings below all others, by their indent."""
_META = re.compile(r"^\s*(title|date|licen[cs]e|updated|published)\s*[:=]\s*(.{1,200}?)\s*$", re.IGNORECASE)


def plain(text: str) -> str:
    """A paragraph without emphasis, links, roles and tags; runs of white space become one space."""
    text = _ROLE.sub(lambda m: f"`{_role_text(m.group(1))}`", text)
    text = _LINK.sub(r"\1", text)
    text = _REFERENCE.sub(r"\1", text)
    text = _MARKS.sub(lambda m: m.group(2) or m.group(3) or "", text)
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


def _role_text(inner: str) -> str:
    """What a page shows for a role of MyST or reStructuredText: its title, or its target without `~` and `!`."""
    if match := _TITLED.match(inner):
        return match.group(1)
    if inner.startswith("~"):
        return inner.rpartition(".")[2].lstrip("~") or inner
    return inner.removeprefix("!")


def is_meta(line: str) -> bool:
    """Whether a line is a document's metadata: `date: 2024-03-11`."""
    return bool(_META.match(line))


def front_matter(text: str) -> tuple[dict[str, str], int]:
    """Title, date and licence from the lines at the beginning of a document, and how many lines to skip."""
    lines = text.split("\n", 60)
    found: dict[str, str] = {}
    if lines and lines[0].strip() in ("---", "+++"):
        for number, line in enumerate(lines[1:50], 1):
            if line.strip() == lines[0].strip():
                return found, number + 1
            if match := _META.match(line):
                found[_key(match.group(1))] = match.group(2).strip("\"'")
        return {}, 0
    for line in lines[:12]:
        if (match := _META.match(line.strip().strip("*_:").replace(":**", ":").replace("**", ""))) is not None:
            found.setdefault(_key(match.group(1)), match.group(2).strip("\"'* "))
    return found, 0


def _key(name: str) -> str:
    name = name.lower()
    return {"license": "licence", "updated": "date", "published": "date"}.get(name, name)


def read_text(text: str, skip: int = 0) -> Iterator[Block]:
    """The blocks of Markdown, reStructuredText or plain text."""
    lines = without_directives(text.split("\n"))
    headings: list[tuple[int, str]] = []
    styles: list[str] = []
    paragraph: list[str] = []
    code: list[str] = []
    began = 0
    fence = ""
    table = ""

    def path() -> str:
        return " › ".join(title for _, title in headings)

    def flush() -> Iterator[Block]:
        nonlocal paragraph
        if paragraph and (shown := plain(" ".join(paragraph))):
            yield Block(shown, path(), began)
        paragraph = []

    number = skip
    while number < len(lines):
        line = lines[number].rstrip() if fence else _QUOTED.sub("", lines[number].rstrip())
        number += 1
        if fence or _FENCE.match(line):
            mark = _FENCE.match(line)
            if not fence and mark:
                yield from flush()
                fence, began, code = mark.group(1), number, []
            elif mark and mark.group(1).startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
                if any(code):
                    yield Block("\n".join(code).strip("\n")[:4000], path(), began, code=True)
            else:
                code.append(line)
            continue
        if _ADMONITION.match(line):
            yield from flush()
            continue
        following = lines[number].rstrip() if number < len(lines) else ""
        if line.strip() and _ended(headings, line):
            yield from flush()
            _leave(headings, line)
        if match := _ATX.match(line):
            yield from flush()
            _enter(headings, len(match.group(1)), plain(match.group(2)))
            continue
        if not paragraph and _is_term(line, following, lines[number + 1] if number + 1 < len(lines) else ""):
            _enter(headings, _TERM_LEVEL + _indent(line), plain(line))
            continue
        if line.strip() and not paragraph and _is_title(line, following):
            if following[0] not in styles:
                styles.append(following[0])
            _enter(headings, styles.index(following[0]) + 1, plain(line))
            number += 1
            continue
        if not line.strip() or _UNDERLINE.match(line):
            yield from flush()
            table = table if line.strip() else ""
            continue
        if _DIRECTIVE.match(line) or (number < 40 and is_meta(line) and not paragraph):
            yield from flush()
            continue
        if line.lstrip().startswith("|"):
            yield from flush()
            cells = [plain(cell) for cell in line.strip().strip("|").split("|")]
            if all(re.fullmatch(r":?-+:?", cell) or not cell for cell in cells):
                continue
            if not table:
                table = "\t".join(cells)
                if re.match(r"^\s*\|[\s:|-]+\|?\s*$", following):
                    continue
            yield Block(_row(table.split("\t"), cells), path(), number)
            continue
        if _LIST.match(line):
            yield from flush()
            began, paragraph = number, [_LIST.sub("", line)]
            continue
        if not paragraph:
            began = number
        paragraph.append(line.strip())
    if fence and any(code):
        yield Block("\n".join(code).strip("\n")[:4000], path(), began, code=True)
    yield from flush()


def _row(head: list[str], cells: list[str]) -> str:
    """A row of a table as a sentence: `model: A; range: 40 km; weight: 3 kg`."""
    if len(head) != len(cells) or head == cells:
        return "; ".join(filter(None, cells))
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in zip(head, cells, strict=True) if cell)


def _is_title(line: str, following: str) -> bool:
    return bool(_UNDERLINE.match(following)) and len(following) >= min(3, len(line)) and len(line) < 200


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_term(line: str, following: str, after: str) -> bool:
    """Whether a line is the term of a definition list, whose text stands below it, indented. Its text may follow a
    blank line if the term is a literal."""
    term = line.strip()
    if not term or len(term) > 100 or len(term.split()) > 8 or term[-1] in ".:;,!?" or _LIST.match(line):
        return False
    if not re.match(r"[\w`*:{-]", term) or _FENCE.match(following):
        return False
    if not following.strip():
        following = after if re.fullmatch(r"(`{1,2})[^`]+\1", term) else ""
    return bool(following.strip()) and _indent(following) > _indent(line)


def _ended(headings: list[tuple[int, str]], line: str) -> bool:
    """Whether a line ends the text of the last term."""
    return bool(headings) and headings[-1][0] - _TERM_LEVEL >= _indent(line)


def _leave(headings: list[tuple[int, str]], line: str) -> None:
    while _ended(headings, line):
        headings.pop()


def _enter(headings: list[tuple[int, str]], level: int, title: str) -> None:
    while headings and headings[-1][0] >= level:
        headings.pop()
    headings.append((level, title[:200]))


def read_notebook(text: str) -> Iterator[Block]:
    """The Markdown cells of a Jupyter notebook and the first lines of its code cells. Raises `ValueError`."""
    cells = json.loads(text).get("cells", [])
    last = ""
    for number, cell in enumerate(cells[:2000] if isinstance(cells, list) else [], 1):
        source = cell.get("source", "")
        source = "".join(map(str, source)) if isinstance(source, list) else str(source)
        if cell.get("cell_type") == "markdown":
            for block in read_text(source):
                last = block.heading or last
                yield Block(block.text, block.heading or last, number, block.code)
        elif source.strip():
            yield Block(source[:2000], last, number, code=True)
