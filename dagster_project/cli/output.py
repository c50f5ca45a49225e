"""Output of commands: data on standard output, progress and errors on standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON on standard output.")]


class CommandFailed(RuntimeError):
    """The command failed; the message is for its user."""


def data(value: Any) -> None:
    """Prints `value` as JSON. Dates, ids and paths become strings."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def line(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Prints a table on a terminal, or `empty` without rows; elsewhere tab-separated lines without a heading."""
    cells = [[str(cell) for cell in row] for row in rows]
    if not is_terminal():
        for row in cells:
            line("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    if not cells:
        line(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in cells:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)


class Progress:
    """Shows the steps of one operation: a spinner on a terminal, one line per step elsewhere."""

    def __init__(self, quiet: bool = False) -> None:
        self._status: Any = None
        self._quiet = quiet

    def __enter__(self) -> Callable[[str], None]:
        if self._quiet:
            return lambda _: None
        if not sys.stderr.isatty():
            return note
        from rich.console import Console

        console = Console(stderr=True)
        self._status = console.status("starting")
        self._status.start()

        def step(text: str) -> None:
            console.print(f"[dim]·[/dim] {text}", highlight=False, markup=True)
            self._status.update(text)

        return step

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()
