"""Tables for plain-text e-mails."""

import textwrap


def table(rows, header=None, gap=2, max_width=None):
    """Lays out rows of cells in columns. Numbers are set to the right.

    Cells that are wider than `max_width` go on in the next line.
    """
    grid = _wrapped([[str(cell) for cell in row] for row in rows], max_width)
    numeric = _numeric_columns(rows)
    if header:
        grid.insert(0, [str(cell) for cell in header])
    if not grid:
        return ""
    widths = [max(len(row[column]) for row in grid) for column in range(len(grid[0]))]
    lines = []
    for row in grid:
        cells = []
        for column, cell in enumerate(row):
            if column in numeric:
                cells.append(cell.rjust(widths[column]))
            else:
                cells.append(cell.ljust(widths[column]))
        lines.append((" " * gap).join(cells).rstrip())
    if header:
        lines.insert(1, "-" * (sum(widths) + gap * (len(widths) - 1)))
    return "\n".join(lines)


def _wrapped(grid, max_width):
    if max_width is None:
        return grid
    lines = []
    for row in grid:
        cells = [textwrap.wrap(cell, max_width) or [""] for cell in row]
        for number in range(max(map(len, cells), default=1)):
            lines.append([cell[number] if number < len(cell) else "" for cell in cells])
    return lines


def _numeric_columns(rows):
    """Columns in which every cell is a number."""
    if not rows:
        return set()
    return {
        column
        for column in range(len(rows[0]))
        if all(isinstance(row[column], (int, float)) for row in rows)
    }
