"""Tables in plain text."""


def widths(rows):
    """The width of each column; rows may have different lengths."""
    columns = max((len(row) for row in rows), default=0)
    return [max((len(str(row[n])) for row in rows if n < len(row)), default=0) for n in range(columns)]


def table(rows, head=None):
    """Rows as aligned text. Numbers are aligned on the right; a head is underlined."""
    shown = [list(head), *rows] if head else list(rows)
    wide = widths(shown)
    lines = []
    for row in shown:
        cells = [
            str(cell).rjust(size) if isinstance(cell, (int, float)) else str(cell).ljust(size)
            for cell, size in zip(row, wide)
        ]
        lines.append("  ".join(cells).rstrip())
    if head:
        lines.insert(1, "  ".join("-" * size for size in wide))
    return "\n".join(lines)


def transposed(rows, fill=""):
    """Columns as rows; short rows are filled."""
    columns = max((len(row) for row in rows), default=0)
    return [[row[n] if n < len(row) else fill for row in rows] for n in range(columns)]
