"""The plain text of an Atlassian document, one line per block.

Format: https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/. A pure function: whatever JSON
the document holds, it gives a text.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_MOST_NODES = 20_000

_BLOCKS = frozenset(
    {
        "paragraph",
        "heading",
        "codeBlock",
        "listItem",
        "blockquote",
        "tableRow",
        "hardBreak",
        "rule",
        "caption",
        "decisionItem",
        "taskItem",
        "blockTaskItem",
        "blockCard",
        "embedCard",
    }
)
"""Nodes that end a line. Those that hold such nodes do not."""

_TITLED = frozenset({"expand", "nestedExpand"})
_NAMED = {
    "mention": ("text", "id"),
    "emoji": ("text", "shortName"),
    "status": ("text",),
    "placeholder": ("text",),
    "mediaInline": ("alt",),
    "inlineCard": ("url",),
    "blockCard": ("url",),
    "embedCard": ("url",),
}
"""Nodes whose text is an attribute: the first of these that is one."""

_CARDS = ("inlineCard", "blockCard", "embedCard")
_TASKS = ("taskItem", "blockTaskItem")


def plain_text(document: Mapping[str, Any]) -> str:
    """The document's text. Any nesting depth is accepted; at most `_MOST_NODES` nodes are read."""
    found: list[str] = []
    waiting: list[Any] = [document]
    for _ in range(_MOST_NODES):
        if not waiting:
            break
        node = waiting.pop()
        if isinstance(node, str):
            found.append(node)
        elif isinstance(node, Mapping):
            text, content, kind = node.get("text"), node.get("content"), node.get("type")
            if isinstance(text, str):
                found.append(text)
            elif isinstance(kind, str):
                found.append(_own_text(kind, node.get("attrs")))
            if isinstance(kind, str) and kind in _BLOCKS:
                waiting.append("\n")
            if isinstance(content, list):
                waiting.extend(reversed(content[:_MOST_NODES]))
    return re.sub(r"\n{3,}", "\n\n", "".join(found)).strip()


def _own_text(kind: str, attributes: Any) -> str:
    """The text that a node has besides its content."""
    if not isinstance(attributes, Mapping):
        return ""
    if kind in _TITLED:
        return _line(attributes.get("title"))
    if kind == "media":
        return _line(attributes.get("alt"))
    if kind in _TASKS:
        return "[x] " if attributes.get("state") == "DONE" else "[ ] "
    if kind == "date":
        return _day(attributes.get("timestamp"))
    for name in _NAMED.get(kind, ()):
        text = attributes.get(name)
        if isinstance(text, str) and text:
            return text
    return _linked(attributes.get("data")) if kind in _CARDS else ""


def _line(text: Any) -> str:
    return f"{text}\n" if isinstance(text, str) and text else ""


def _linked(data: Any) -> str:
    """The name and address in the JSON-LD of a card that has no address of its own."""
    if not isinstance(data, Mapping):
        return ""
    return " ".join(text for name in ("name", "url") if isinstance(text := data.get(name), str) and text)


def _day(milliseconds: Any) -> str:
    """A date, whose timestamp is a text of milliseconds since 1970."""
    try:
        return datetime.fromtimestamp(int(str(milliseconds)[:20]) / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
