"""Warns on standard error of variables that look like settings and that nothing reads."""

import os
import sys

from dagster_project.cli.output import note

_warned = False


def warn_of_unknown_settings(*, now: bool = False) -> None:
    """Warns once in a process: at the end of a command that has read the settings, which has imported them already, or
    `now`."""
    global _warned  # noqa: PLW0603
    if _warned or not (now or "core.settings" in sys.modules):
        return
    _warned = True
    from core.unknown_settings import unknown_variables

    for problem in unknown_variables(os.environ):
        note(f"penstock: warning: {problem}")
