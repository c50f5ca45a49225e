"""Output of commands: data on standard output, progress and errors on standard error."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON on standard output.")]


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class CommandFailed(RuntimeError):
    """The command failed; the message is for its user."""


def data(value: Any) -> None:
    """Prints `value` as JSON. Dates, ids and paths become strings."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def line(text: str = "") -> None:
    sys.stdout.write(plain(text) + "\n")


def note(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(plain(text) + "\n")
    sys.stderr.flush()


def plain(text: str) -> str:
    """Text without the control characters that a terminal would obey, among them those that turn the direction of
    writing, since titles and names come from anybody. Line breaks and tabs stay."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    empty: str,
    short: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Prints a heading and rows, fitted to the terminal; elsewhere whole, in aligned columns.

    `empty` is said instead of a table without rows, on standard error where no person reads standard output. `short`:
    columns of ids, of which so many characters are enough where the terminal has little room.
    """
    from dagster_project.cli.tables import show_table

    cells = [[" ".join(plain(str(cell)).split()) for cell in row] for row in rows]
    if cells:
        show_table(columns, cells, terminal=is_terminal(), short=short)
    elif empty:
        (line if is_terminal() else note)(empty)


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
        from rich.text import Text

        from dagster_project.cli.tables import console

        screen = console(errors=True)
        self._status = screen.status("starting")
        self._status.start()

        def step(text: str) -> None:
            screen.print(Text.assemble(("· ", "dim"), text))
            self._status.update(Text(text))

        return step

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()
