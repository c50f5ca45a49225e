"""Links in plain text, and plain text from markup."""

import html
import re

_ADDRESS = re.compile(r"\bhttps?://[^\s<>\"]+")
_TAG = re.compile(r"<[^>]+?>")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TRAILING = ".,;:!?"


def linkify(text):
    """Escapes a text and makes its addresses clickable. Punctuation after an address stays outside."""
    result = []
    position = 0
    for match in _ADDRESS.finditer(text):
        address = match.group().rstrip(_TRAILING)
        if address.endswith(")") and address.count("(") < address.count(")"):
            address = address[:-1]
        result.append(html.escape(text[position : match.start()]))
        shown = html.escape(address)
        result.append(f'<a href="{shown}">{shown}</a>')
        position = match.start() + len(address)
    result.append(html.escape(text[position:]))
    return "".join(result)


def strip_tags(markup):
    """The text of a piece of HTML, without comments and tags, entities resolved."""
    text = _COMMENT.sub("", markup)
    text = _TAG.sub(" ", text)
    return " ".join(html.unescape(text).split())
