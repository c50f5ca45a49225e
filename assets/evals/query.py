"""SQL over all results, for a person's own questions: one SELECT in DuckDB, which sees nothing but the results.

The results are copied into memory and the door is shut before the question is asked: no files, no
extensions, no settings, bounded memory, time and rows.
"""

import threading
from dataclasses import dataclass
from typing import Any

from .store import ResultStore

SECONDS = 30.0
ROWS = 10_000
MEMORY = "1GB"
MAX_SQL = 100_000


class QueryRefused(ValueError):
    """The SQL is not one SELECT, is wrong, or takes too much; the message says which."""


@dataclass(frozen=True)
class Answer:
    """Columns and rows; `more` when there were more rows than are given."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool


def query(store: ResultStore, sql: str, *, seconds: float = SECONDS, rows: int = ROWS) -> Answer:
    """Asks the table `results`, which has a row a run, case and repeat. Raises `QueryRefused`.

    DuckDB runs threads of its own: not to be called in a process that forks later.
    """
    import duckdb

    if len(sql) > MAX_SQL:
        raise QueryRefused(f"the SQL is longer than {MAX_SQL} characters")
    files = [str(path) for path in store.settle_all()]
    if not files:
        raise QueryRefused("there are no results yet; `penstock eval run` makes some")
    connection = duckdb.connect(":memory:", config={"memory_limit": MEMORY, "threads": 2})
    try:
        connection.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
        connection.execute("SET temp_directory = ''")
        connection.execute(
            "CREATE TABLE results AS SELECT * FROM read_parquet(?, union_by_name = true, hive_partitioning = false)",
            [files],
        )
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            statements = connection.extract_statements(sql)
        except duckdb.Error as error:
            raise QueryRefused(str(error)) from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryRefused("ask one SELECT over the table `results`")
        return _ask(connection, sql, seconds, rows)
    finally:
        connection.close()


def _ask(connection: Any, sql: str, seconds: float, rows: int) -> Answer:
    import duckdb

    late = threading.Event()

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        asked = connection.execute(sql)
        found = asked.fetchmany(rows + 1)
        columns = tuple(str(column[0]) for column in asked.description or ())
    except duckdb.Error as error:
        if late.is_set():
            raise QueryRefused(f"the query took longer than {seconds:g} seconds: ask for less") from error
        raise QueryRefused(str(error)) from error
    finally:
        timer.cancel()
    return Answer(columns, found[:rows], len(found) > rows)
