"""Jobs for the launcher's tests; run workers import this file by path."""

import os
import time
from pathlib import Path

from dagster import OpExecutionContext, in_process_executor, job, op


@op
def work(context: OpExecutionContext) -> None:
    """Says that it runs, then waits to be let go, for at most half a minute."""
    folder = Path(context.run.tags["folder"])
    (folder / "started").write_text(str(os.getpid()))
    deadline = time.monotonic() + 300
    while not (folder / "go").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody let this run go")
        time.sleep(0.02)


@job(executor_def=in_process_executor)
def waiting() -> None:
    work()
