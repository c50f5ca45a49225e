"""Filling placeholders such as `{name}`."""

import re

PLACE = re.compile(r"\{(\w+)\}")


def fill(text, **values):
    """The text with its placeholders replaced; unknown ones stay as they are."""
    return PLACE.sub(lambda match: str(values.get(match[1], match[0])), text)


def places(text):
    """The names of the placeholders, in order, each once."""
    return list(dict.fromkeys(PLACE.findall(text)))


def joined(words, conjunction="and"):
    """A list in a sentence: `a`, `a and b`, `a, b and c`."""
    words = list(words)
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def grouped(number, separator=" "):
    """A whole number with its digits in groups of three."""
    sign, digits = ("-", str(-number)) if number < 0 else ("", str(number))
    groups = []
    while digits:
        groups.append(digits[-3:])
        digits = digits[:-3]
    return sign + separator.join(reversed(groups))
