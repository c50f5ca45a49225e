"""SQL over all results, for a person's own questions: one SELECT in DuckDB, which sees nothing but the results.

The question is asked in a process of its own (`query_process`), which is ended when it takes too long:
a parser that is given nonsense cannot be interrupted, and this process never runs DuckDB's threads.
"""

from dataclasses import dataclass
from typing import Any

from core.worker import Worker, WorkerEnded, WorkerLate

from .store import ResultStore

SECONDS = 30.0
ROWS = 10_000
MAX_SQL = 100_000
GRACE = 3.0
"""Beyond `seconds`, to read the results."""


class QueryRefused(ValueError):
    """The SQL is not one SELECT, is wrong, or takes too much; the message says which."""


@dataclass(frozen=True)
class QueryResult:
    """Columns and rows of plain values (dates and decimals as text); `more` when there were more rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool


def query(store: ResultStore, sql: str, *, seconds: float = SECONDS, rows: int = ROWS) -> QueryResult:
    """Asks the table `results`, which has a row a run, case and repeat. Raises `QueryRefused`."""
    if len(sql) > MAX_SQL:
        raise QueryRefused(f"the SQL is longer than {MAX_SQL} characters")
    files = [str(path) for path in store.settle_all()]
    if not files:
        raise QueryRefused("there are no results yet; `penstock eval run` makes some")
    asked = {"files": files, "sql": sql, "seconds": seconds, "rows": rows}
    try:
        with Worker("assets.evals.runs.query_process") as worker:
            said = worker.ask(asked, seconds + GRACE)
    except WorkerLate as error:
        raise QueryRefused(f"the query took longer than {seconds:g} seconds: ask for less") from error
    except WorkerEnded as error:
        raise QueryRefused(f"the query ended its process: {error}") from error
    if "refused" in said:
        raise QueryRefused(said["refused"])
    return QueryResult(tuple(said["columns"]), [tuple(row) for row in said["rows"]], said["more"])
