"""SQL over all results: one SELECT in DuckDB, which has access to nothing but the results.

The query runs in its own process (`query_process`), which is killed when it takes too long: DuckDB's parser cannot be
interrupted, and this process must not run DuckDB's threads.
"""

from dataclasses import dataclass
from typing import Any

from core.worker import Worker, WorkerEnded, WorkerLate

from .store import ResultStore

SECONDS = 30.0
ROWS = 10_000
MAX_SQL = 100_000
GRACE = 3.0
"""Seconds added to the query's time limit, to read the results."""


class QueryRefused(ValueError):
    """The SQL is not one SELECT, has an error, or exceeds a limit; the message says which."""


@dataclass(frozen=True)
class QueryResult:
    """Columns and rows of plain values (dates and decimals as text). `more` is true if there were more rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool


def query(store: ResultStore, sql: str, *, seconds: float = SECONDS, rows: int = ROWS) -> QueryResult:
    """Queries the table `results`, which has one row per run, case and repeat. `seconds` is the time limit, `rows` the
    largest number of rows returned. Raises `QueryRefused`."""
    if len(sql) > MAX_SQL:
        raise QueryRefused(f"the SQL is longer than {MAX_SQL} characters")
    files = [str(path) for path in store.settle_all()]
    if not files:
        raise QueryRefused("there are no results yet; `penstock eval run` produces them")
    request = {"files": files, "sql": sql, "seconds": seconds, "rows": rows}
    try:
        with Worker("assets.evals.runs.query_process") as worker:
            answer = worker.ask(request, seconds + GRACE)
    except WorkerLate as error:
        raise QueryRefused(f"the query took longer than {seconds:g} seconds: make it smaller") from error
    except WorkerEnded as error:
        raise QueryRefused(f"the query's process ended: {error}") from error
    if "refused" in answer:
        raise QueryRefused(answer["refused"])
    return QueryResult(tuple(answer["columns"]), [tuple(row) for row in answer["rows"]], answer["more"])
