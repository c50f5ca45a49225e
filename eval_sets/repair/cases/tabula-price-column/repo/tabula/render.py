"""Shows tables in a terminal, where a letter takes up no, one or two cells."""

import unicodedata


def cells(text):
    """How many cells a text takes up."""
    return sum(_cells(letter) for letter in text)


def _cells(letter):
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1


def cut(text, most):
    """The text, or as much of its start as fits into `most` cells with an ellipsis after it."""
    if cells(text) <= most:
        return text
    kept, used = "", 0
    for letter in text:
        used += _cells(letter)
        if used > most - 1:
            break
        kept += letter
    return kept + "…"


def render(header, rows, most=20):
    """The table with columns of equal width: numbers to the right, all else to the left. No line ends in blanks."""
    table = [list(header), *([("" if value is None else str(value)) for value in row] for row in rows)]
    table = [[cut(value, most) for value in row] for row in table]
    widths = [max(map(cells, column)) for column in zip(*table)]
    right = [bool(rows) and all(isinstance(row[at], int | float) for row in rows) for at in range(len(header))]
    lines = [_line(row, widths, right) for row in table]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _line(row, widths, right):
    padded = []
    for value, width, to_right in zip(row, widths, right):
        blanks = " " * (width - cells(value))
        padded.append(blanks + value if to_right else value + blanks)
    return "  ".join(padded).rstrip()
