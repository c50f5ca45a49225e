"""Tables of commands: on terminals of any width, in pipes, and with text that somebody else wrote."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dagster_project.cli.output import plain
from dagster_project.cli.tables import aligned

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from dagster_project.cli.output import line, table
task = "0197cdef-1234-4890-aaaa-0123456789ab"
rows = [[task, "resolved", 1, "2026-11-30 12:00:00", "A wrong total in the cart \\x1b[2J when there are many items"],
        ["91aa7f33-1234-4890-aaaa-0123456789ab", "failed", 12, "2026-11-30 12:00:00", "two\\nlines,  日本語"]]
table(["id", "state", "attempt", "created", "title"], rows[: int(sys.argv[1])], empty="No tasks yet.", short={"id": 8})
line("after \\x1b]0;title\\x07")
"""
Show = Callable[..., str]


@pytest.fixture
def on_terminal() -> Show:
    """What the program above prints on a terminal of so many columns."""

    def show(columns: int, rows: int = 2, **environment: str) -> str:
        near, far = pty.openpty()
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(rows)],
            cwd=ROOT, stdout=far, stderr=far,
            env={**kept, "COLUMNS": str(columns), "TERM": "xterm-256color", **environment},
        )  # fmt: skip
        os.close(far)
        said = b""
        try:
            while part := os.read(near, 65_536):
                said += part
        except OSError:  # as a terminal says that its other end is closed
            pass
        finally:
            os.close(near)
        assert process.wait(timeout=60) == 0, said
        return said.decode().replace("\r\n", "\n")

    return show


def piped(rows: int, columns: str = "40") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(rows)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "COLUMNS": columns},
    )  # fmt: skip


def test_elsewhere_than_on_a_terminal_a_table_is_whole_whatever_the_width() -> None:
    heading, first, second, last = piped(2).stdout.splitlines()
    assert heading.split() == ["ID", "STATE", "ATTEMPT", "CREATED", "TITLE"]
    assert first.split("  ")[0] == "0197cdef-1234-4890-aaaa-0123456789ab"
    assert first.endswith("A wrong total in the cart �[2J when there are many items")
    assert second.endswith("two lines, 日本語")
    assert {row.index(word) for row, word in [(heading, "STATE"), (first, "resolved"), (second, "failed")]} == {38}
    assert last == "after �]0;title�"
    assert piped(2, "200").stdout == piped(2).stdout


def test_an_empty_list_is_a_sentence_that_no_program_takes_for_a_row(on_terminal: Show) -> None:
    assert "No tasks yet." in on_terminal(80, rows=0)
    done = piped(0)
    assert (done.stdout.splitlines(), done.stderr) == (["after �]0;title�"], "No tasks yet.\n")


@pytest.mark.parametrize("columns", [30, 60, 80, 300])
def test_a_table_fits_the_terminal(on_terminal: Show, columns: int) -> None:
    shown = on_terminal(columns, NO_COLOR="1")
    assert max(cell_len(line) for line in shown.splitlines()) <= columns
    assert "\x1b" not in shown
    assert ("0197cdef-1234-4890-aaaa-0123456789ab" in shown) == (columns == 300), "an id is whole or its beginning"
    assert "0197cdef" in shown
    assert "2026-11-30 12:00:00" in shown, "a time is not folded"


def test_colours_tell_good_from_bad_and_are_left_out_where_they_are_not_wanted(on_terminal: Show) -> None:
    shown = on_terminal(120)
    assert "\x1b[32mresolved" in shown
    assert "\x1b[1;31mfailed" in shown
    assert "\x1b[2J" not in shown, "a title clears no screen"
    assert "\x1b" not in on_terminal(120, NO_COLOR="1")
    assert "\x1b[3" not in on_terminal(120, TERM="dumb")


def test_one_long_cell_does_not_push_the_other_lines_apart() -> None:
    assert aligned([["A", "B"], ["x" * 99, "1"], ["yy", "2"]]) == f"A   B\n{'x' * 99}  1\nyy  2\n"


@given(st.lists(st.lists(st.text(st.characters(categories=["L", "N", "P"])), min_size=3, max_size=3), min_size=1))
def test_aligned_cells_begin_at_the_same_place(rows: list[list[str]]) -> None:
    lines = aligned([["a", "b", "c"], *([cell or "-" for cell in row] for row in rows)]).split("\n")[:-1]
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        assert line.split() == [cell or "-" for cell in row]


def test_plain_text_does_not_turn_its_direction() -> None:
    assert plain("a\u202ecba\u2066") == "a\ufffdcba\ufffd"


@given(st.text())
def test_plain_text_holds_no_control_character_but_line_breaks_and_tabs(text: str) -> None:
    shown = plain(text)
    assert len(shown) == len(text)
    assert not [one for one in shown if (ord(one) < 32 or 127 <= ord(one) < 160) and one not in "\n\t"]
