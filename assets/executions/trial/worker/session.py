"""Sets up a fork as `python -m pytest` in the workspace would, and collects the tests there."""

import os
import random
import sys
import time

from .collecting import MOST_CRASHES, Guard, Marker
from .suite import Suite
from .wire import Message

marker = Marker()
"""Names the file that is being collected; shared by this process and its forks."""
ended: dict[str, str] = {}
"""Files that ended the process when they were imported, and how that is said."""
_LONGEST_IMPORT = 20.0


def enter(command: Message) -> None:
    """Makes this process look like `python -m pytest` started in the workspace."""
    os.chdir(command["root"])
    for path in reversed(command["sys_path"]):
        if path not in sys.path:
            sys.path.insert(0, path)
    set_variables(command)
    sys.argv = ["pytest", *command["arguments"]]
    random.seed(0)


def set_variables(command: Message) -> None:
    """Sets the command's environment variables, as for a process that starts with them."""
    os.environ.update(command.get("variables", {}))
    time.tzset()


def collected(command: Message, select: list[str] | None = None) -> Suite:
    seconds = min(_LONGEST_IMPORT, max(3.0, command.get("instrument_seconds") or command.get("seconds", 80.0) / 4))
    suite = Suite(command["root"], command["arguments"], Guard(marker, ended, seconds))
    suite.collect(select or ())
    return suite


def notice_end() -> bool:
    """After a process ended while it collected: notes the file that ended it, so that the next one passes it over.
    False when no file is to blame."""
    name = marker.read()
    marker.write("")
    if not name or name in ended or len(ended) >= MOST_CRASHES:
        return False
    ended[name] = "importing it ended the process"
    return True
