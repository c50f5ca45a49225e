"""Tables on the terminal: columns that fit its width, and colours that tell good, bad and waiting apart.

Elsewhere (a pipe, a file) nothing is cut, folded or coloured, and the layout does not depend on a terminal.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

EMPTY = "-"
GAP: Final = 2
WIDEST: Final = 48
FOLDED: Final = 16
"""The narrowest that a column of text becomes; below it, each row is shown as lines of its own."""

_GOOD = "ok resolved published fresh serving valid passed pass better yes kept holds done answers accepted"
_BAD = "failed failing missing refused dead-lettered worse no broken drifted lost expired revoked unreadable hurts"
_WAITING = "degraded stopped waiting unresolved behind stale inconclusive held pending queued draft doubtful paused"
_MUTED = "cancelled retired ignored superseded closed"
STYLES: Final = {
    **dict.fromkeys(_GOOD.split(), "green"),
    **dict.fromkeys(_BAD.split(), "bold red"),
    **dict.fromkeys(_WAITING.split(), "yellow"),
    **dict.fromkeys(_MUTED.split(), "dim"),
    "not worse": "green",
    "running": "cyan",
    "not answering": "bold red",
}
"""How a cell is shown that says how something is. The word says it too: nothing is told by colour alone."""
COLOURED: Final = frozenset({"state", "verdict", "result", "outcome", "kept", "answers", "drift"})
"""The headings of columns whose cells say how something is."""

_NUMBER = re.compile(r"-?[\d,.]+(%|/\d+)?|-")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ \d:]*")


def show_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, terminal: bool, short: Mapping[str, int]
) -> None:
    """Prints a heading and rows of one-line cells. `short`: columns of ids, and how many of their characters are
    enough where the terminal has no room for all."""
    if not terminal:
        filled = [[cell or EMPTY for cell in row] for row in rows]
        sys.stdout.write(aligned([[name.upper() for name in columns], *filled]))
        return
    cells = rows
    screen = console()
    widths = _widths(columns, cells)
    if sum(widths) + GAP * (len(widths) - 1) > screen.width:
        cells = [
            [cell[: short[name]] if name in short else cell for name, cell in zip(columns, row, strict=True)]
            for row in cells
        ]
        widths = _widths(columns, cells)
    folds = [any(_may_fold(row[at]) for row in cells) for at in range(len(columns))]
    least = [min(width, FOLDED) if folded else width for width, folded in zip(widths, folds, strict=True)]
    if sum(least) + GAP * (len(least) - 1) > screen.width:
        _show_records(screen, columns, cells)
    else:
        _show_grid(screen, columns, cells, folds)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lines whose cells begin at the same place, at least two spaces apart; no cell holds two spaces together. A cell
    of more than `WIDEST` characters moves only the rest of its own line."""
    sizes = [[cell_len(row[at]) for row in rows] for at in range(len(rows[0]))]
    widths = [max((size for size in column if size <= WIDEST), default=WIDEST) for column in sizes]
    lines = [
        (" " * GAP).join(cell + " " * max(0, width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def console(*, errors: bool = False) -> Console:
    """A terminal of the width that COLUMNS or the terminal says, without colours if NO_COLOR is set."""
    out = sys.stderr if errors else sys.stdout
    if os.environ.get("NO_COLOR"):
        return Console(file=out, color_system=None, highlight=False)
    return Console(file=out, highlight=False)


def _widths(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(cell_len(name), *(cell_len(row[at]) for row in cells)) for at, name in enumerate(columns)]


def _may_fold(cell: str) -> bool:
    """Whether a cell is text or a path, not an id, a number or a time."""
    return bool(re.search(r"[\s/]", cell)) and not _TIME.fullmatch(cell)


def _styled(column: str, cell: str) -> Text:
    if cell == EMPTY:
        return Text(cell, style="dim")
    first = re.split(r" \(|: ", cell.lower(), maxsplit=1)[0]
    return Text(cell, style=STYLES.get(first, "") if column in COLOURED else "")


def _show_grid(screen: Console, columns: Sequence[str], cells: Sequence[Sequence[str]], folds: Sequence[bool]) -> None:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0), header_style="bold")
    for at, name in enumerate(columns):
        numbers = all(_NUMBER.fullmatch(row[at] or EMPTY) for row in cells)
        shown.add_column(
            name, justify="right" if numbers else "left", no_wrap=not folds[at], overflow="fold", min_width=1
        )
    for row in cells:
        shown.add_row(*map(_styled, columns, row))
    screen.print(shown)


def _show_records(screen: Console, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Each row as lines of heading and cell, for terminals too narrow for columns."""
    for number, row in enumerate(cells):
        if number:
            screen.print()
        shown = Table.grid(padding=(0, GAP, 0, 0))
        shown.add_column(style="bold", no_wrap=True)
        shown.add_column(overflow="fold")
        for name, cell in zip(columns, row, strict=True):
            if cell not in ("", EMPTY):
                shown.add_row(name, _styled(name, cell))
        screen.print(shown)
