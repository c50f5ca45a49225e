"""The process that runs one SQL query over the results for `query`.

It first copies the results into memory, then turns off file access, extensions and settings, and only then parses the
query. Its memory and time are limited.
"""

import json
import math
import resource
import threading
from typing import Any

import duckdb

from core.worker import serve

MEMORY = "1GB"
ADDRESS_SPACE = 8 << 30
ANSWER_BYTES = 32 << 20


def _bounded(request: dict[str, Any]) -> dict[str, Any]:
    cpu = math.ceil(2 * request["seconds"]) + 10
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    try:
        answer = _answer(**request)
    except (duckdb.Error, MemoryError, RecursionError) as error:
        return {"refused": str(error) or type(error).__name__}
    if len(json.dumps(answer, default=str)) > ANSWER_BYTES:
        return {"refused": f"the result is larger than {ANSWER_BYTES >> 20} MiB: select less"}
    return answer


def _answer(files: list[str], sql: str, seconds: float, rows: int) -> dict[str, Any]:
    connection = duckdb.connect(":memory:", config={"memory_limit": MEMORY, "threads": 2})
    connection.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
    connection.execute("SET temp_directory = ''")
    connection.execute(
        "CREATE TABLE results AS SELECT * FROM read_parquet(?, union_by_name = true, hive_partitioning = false)",
        [files],
    )
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        return {"refused": "write one SELECT over the table `results`"}
    late = threading.Event()

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        found = connection.execute(sql)
        taken = found.fetchmany(rows + 1)
    except duckdb.Error:
        if late.is_set():
            return {"refused": f"the query took longer than {seconds:g} seconds: make it smaller"}
        raise
    finally:
        timer.cancel()
    columns = [str(column[0]) for column in found.description or ()]
    return {"columns": columns, "rows": [list(map(_plain, row)) for row in taken[:rows]], "more": len(taken) > rows}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    serve(_bounded, memory=ADDRESS_SPACE)
