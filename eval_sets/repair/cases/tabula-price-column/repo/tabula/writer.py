"""Writes delimited text."""


def write(rows, delimiter=",", end="\n"):
    """The text of rows. Fields are put in quotes only where they must be; None is an empty field."""
    return "".join(delimiter.join(_field(value, delimiter, len(row)) for value in row) + end for row in rows)


def _field(value, delimiter, width):
    text = "" if value is None else str(value)
    # A row of one empty field would be an empty line.
    if (width == 1 and not text) or any(mark in text for mark in (delimiter, '"', "\n", "\r")):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text
