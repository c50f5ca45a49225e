"""SQL over all results, for a person's own questions: one SELECT in DuckDB, which sees nothing but the results.

The question is asked in a process of its own (`query_process`), which is ended when it takes too long:
a parser that is given nonsense cannot be interrupted, and this process never runs DuckDB's threads.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .store import ResultStore

SECONDS = 30.0
ROWS = 10_000
MAX_SQL = 100_000
GRACE = 3.0
"""Beyond `seconds`, to start the process and read the results."""


class QueryRefused(ValueError):
    """The SQL is not one SELECT, is wrong, or takes too much; the message says which."""


@dataclass(frozen=True)
class Answer:
    """Columns and rows of plain values (dates and decimals as text); `more` when there were more rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool


def query(store: ResultStore, sql: str, *, seconds: float = SECONDS, rows: int = ROWS) -> Answer:
    """Asks the table `results`, which has a row a run, case and repeat. Raises `QueryRefused`."""
    if len(sql) > MAX_SQL:
        raise QueryRefused(f"the SQL is longer than {MAX_SQL} characters")
    files = [str(path) for path in store.settle_all()]
    if not files:
        raise QueryRefused("there are no results yet; `penstock eval run` makes some")
    asked = json.dumps({"files": files, "sql": sql, "seconds": seconds, "rows": rows})
    command = [sys.executable, "-m", "assets.evals.runs.query_process"]
    try:
        done = subprocess.run(
            command, input=asked.encode(), capture_output=True, timeout=seconds + GRACE, check=False,
            cwd=Path(__file__).parents[3],
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise QueryRefused(f"the query took longer than {seconds:g} seconds: ask for less") from error
    try:
        said = json.loads(done.stdout)
    except ValueError:
        end = done.stderr[-300:].decode("utf-8", "replace").strip().splitlines()
        raise QueryRefused(
            f"the query ended its process ({done.returncode}): {end[-1] if end else 'no word'}"
        ) from None
    if "refused" in said:
        raise QueryRefused(said["refused"])
    return Answer(tuple(said["columns"]), [tuple(row) for row in said["rows"]], said["more"])
