"""Reduces HTML to text with lxml. Runs in the reading process: the parser is C, and pages are hostile."""

from collections.abc import Iterator
from typing import Any

from assets.research.records import Block

_DROPPED = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "svg",
        "math",
        "iframe",
        "object",
        "embed",
        "nav",
        "footer",
        "aside",
        "form",
        "button",
        "select",
        "textarea",
        "input",
        "head",
        "link",
        "meta",
        "title",
        "dialog",
        "menu",
    ]
)
_BLOCKS = frozenset(
    [
        "p",
        "li",
        "dd",
        "dt",
        "blockquote",
        "pre",
        "td",
        "th",
        "tr",
        "figcaption",
        "caption",
        "div",
        "section",
        "article",
        "main",
        "body",
        "summary",
        "details",
        "address",
    ]
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN = ("display:none", "visibility:hidden", "opacity:0", "font-size:0")
DEEPEST = 400


def read_html(raw: bytes) -> tuple[str, dict[str, str], list[Block]]:
    """Title, `date` and `licence` where the page says them, and the blocks of what a reader would see."""
    from lxml import html as lxml_html

    html: Any = lxml_html
    parser = html.HTMLParser(encoding=_charset(raw), remove_comments=True, remove_pis=True, huge_tree=False)
    root = html.document_fromstring(raw or b"<p></p>", parser=parser)
    title = " ".join("".join(node.itertext()) for node in root.iter("title"))[:300]
    facts: dict[str, str] = {}
    for node in root.iter("meta", "time", "a", "link"):
        name = (node.get("property") or node.get("name") or node.get("itemprop") or "").lower()
        if name in ("article:modified_time", "article:published_time", "date", "dc.date", "last-modified"):
            facts.setdefault("date", (node.get("content") or "")[:40])
        elif node.tag == "time" and node.get("datetime"):
            facts.setdefault("date", node.get("datetime")[:40])
        elif node.get("rel") == "license":
            facts.setdefault("licence", (node.get("href") or "")[:200])
    found: list[Block] = []
    headings: list[tuple[int, str]] = []
    for level, text, line, code in _walk(root):
        if level:
            while headings and headings[-1][0] >= level:
                headings.pop()
            headings.append((level, text[:200]))
        else:
            found.append(Block(text, " › ".join(name for _, name in headings), line, code))
        if len(found) >= 20_000:
            break
    return " ".join(title.split()), facts, found


def _charset(raw: bytes) -> str | None:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _hidden(node: Any) -> bool:
    style = (node.get("style") or "").replace(" ", "").lower()
    return (
        node.get("hidden") is not None
        or node.get("aria-hidden") == "true"
        or node.get("role") in ("navigation", "banner", "search", "dialog")
        or any(mark in style for mark in _HIDDEN)
    )


def _walk(root: Any) -> Iterator[tuple[int, str, int, bool]]:
    """(level of a heading or 0, text, line, whether code), in reading order, without recursion."""
    collected: list[str] = []
    line = 0

    def flush(code: bool = False) -> Iterator[tuple[int, str, int, bool]]:
        nonlocal collected
        text = "".join(collected)
        text = text.strip() if code else " ".join(text.split())
        collected = []
        if text:
            yield 0, text, line, code

    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        tag = node.tag if isinstance(node.tag, str) else ""
        if leaving:
            if tag in ("td", "th"):
                collected.append("; ")
            elif tag in _BLOCKS or tag == "br":
                yield from flush(tag == "pre")
            collected.append(node.tail or "")
            continue
        if not tag or tag in _DROPPED or (tag == "header" and node.getparent() is not None) or _hidden(node):
            collected.append(node.tail or "")
            continue
        if tag in _HEADINGS:
            yield from flush()
            yield _HEADINGS[tag], " ".join("".join(node.itertext()).split()), node.sourceline or 0, False
            collected.append(node.tail or "")
            continue
        if tag in _BLOCKS and tag not in ("td", "th"):
            yield from flush()
            line = node.sourceline or 0
        stack.append((node, True))
        collected.append(node.text or "")
        stack.extend((child, False) for child in reversed(node))
    yield from flush()
