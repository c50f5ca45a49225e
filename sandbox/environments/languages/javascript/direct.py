"""The command of a plan for chosen files without what starts it, for trying many candidates one after the other.

`run.cjs` builds first, expands patterns and tells how the runner ended; where nothing is built and files are chosen,
the runner can be started by itself, and node:test can run a single file in its own process. The reports are the same.
"""

import json
from collections.abc import Sequence

from sandbox.environments.languages.protocol import TestPlan

_START = 'PATH="$1:$PATH" npm_lifecycle_event=test; export PATH npm_lifecycle_event; shift; exec env "$@"'


def direct_command(plan: TestPlan) -> Sequence[str] | None:
    """The command, or None where it needs `run.cjs`."""
    given = json.loads(plan.command[-1])
    files, command = given["files"], list(given["command"])
    if given["builds"] or not files or "each" in given or command[-len(files) :] != list(files):
        return None
    if given["runner"] == "node" and len(files) == 1 and command[0] == "node" and command.count("--test") == 1:
        command.remove("--test")
    variables = {**given["variables"], "PENSTOCK_REPORT": given["report"]}
    return [
        "/bin/sh",
        "-c",
        _START,
        "sh",
        ":".join(given["bins"]),
        *(f"{k}={v}" for k, v in variables.items()),
        *command,
    ]
