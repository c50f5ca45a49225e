"""Attempts to reach the terminal in which Penstock was started."""

import fcntl
import os
import termios

from .attempt import Plan, Refused, attempt


def _open() -> int:
    """A descriptor of the terminal. Raises `OSError`."""
    for number in range(3):
        if os.isatty(number):
            return number
    return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)


def _lacks_tiocsti() -> str | None:
    try:
        with open("/proc/sys/dev/tty/legacy_tiocsti") as file:  # noqa: PTH123
            off = file.read().strip() == "0"
    except OSError:
        return None
    return "this kernel refuses it to all (dev.tty.legacy_tiocsti)" if off and os.geteuid() else None


@attempt("terminal", "terminal of the parent", "opens the terminal in which the parent of the sandbox runs")
def visible(plan: Plan) -> str:
    os.close(_open())
    return "the terminal can be read and written"


@attempt("terminal", "typing into it (TIOCSTI)", "puts a character into its input, as if a person had typed it",
         _lacks_tiocsti)  # fmt: skip
def typing(plan: Plan) -> str:
    fcntl.ioctl(_open(), termios.TIOCSTI, b"x")
    raise Refused("no character arrived")  # whether one did is seen outside
