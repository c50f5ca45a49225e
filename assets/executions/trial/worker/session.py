"""Sets up a fork as `python -m pytest` in the workspace would, and collects the tests there."""

import os
import random
import sys

from .suite import Suite
from .wire import Message


def enter(command: Message) -> None:
    """Makes this process look like `python -m pytest` started in the workspace."""
    os.chdir(command["root"])
    for path in reversed(command["sys_path"]):
        if path not in sys.path:
            sys.path.insert(0, path)
    os.environ.update(command.get("variables", {}))
    sys.argv = ["pytest", *command["arguments"]]
    random.seed(0)


def collected(command: Message, select: list[str] | None = None) -> Suite:
    suite = Suite(command["root"], command["arguments"])
    suite.collect(select or ())
    return suite
