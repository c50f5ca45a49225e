"""The first sentences of a text."""

import re

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-ZÄÖÜ\"'])")
_ABBREVIATIONS = ("e.g.", "i.e.", "Dr.", "Mr.", "Mrs.", "St.", "No.")


def sentences(text):
    """Splits a text at sentence ends, but not after common abbreviations."""
    parts = []
    for piece in _SENTENCE_END.split(" ".join(text.split())):
        if parts and parts[-1].endswith(_ABBREVIATIONS):
            parts[-1] += " " + piece
        elif piece:
            parts.append(piece)
    return parts


def excerpt(text, limit=160):
    """Whole sentences up to `limit` characters; a first sentence that is longer is cut at a word."""
    chosen = ""
    for sentence in sentences(text):
        longer = f"{chosen} {sentence}".strip()
        if len(longer) > limit:
            break
        chosen = longer
    if chosen:
        return chosen
    return shorten(" ".join(text.split()), limit)


def shorten(text, limit):
    """Cuts at a word and adds an ellipsis, which counts as one character."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    if not text[limit - 1].isspace():
        cut = cut.rpartition(" ")[0] or cut
    return cut.rstrip(" ,;:") + "…"


def word_count(text):
    return len(re.findall(r"\w+(?:[-'’]\w+)*", text))
