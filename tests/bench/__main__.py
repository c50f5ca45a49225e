"""`make bench`: runs every benchmark, prints a ratio for each row, and writes `bench-results.json`.

A module of this folder is a benchmark if it defines `measure()`, which returns rows with `name`, `value`,
`unit`, `against`, `against_value` and `ratio`. With module names as arguments, only those are run.
"""

import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parents[1] / "bench-results.json"


def main() -> int:
    names = sys.argv[1:] or sorted(p.stem for p in FOLDER.glob("[a-z]*.py"))
    rows, failed = [], 0
    for name in names:
        module = importlib.import_module(f"tests.bench.{name}")
        if getattr(getattr(module, "measure", None), "__module__", "") != module.__name__:
            continue
        print(f"{name}: measuring", file=sys.stderr, flush=True)  # noqa: T201
        try:
            measured = module.measure()
        except Exception as error:
            failed += 1
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
            continue
        for row in measured:
            rows.append({"benchmark": name, **row})
            against = f"{row['ratio']}x against {row['against']} ({row['against_value']} {row['unit']})"
            print(f"{row['name']}: {row['value']} {row['unit']}; {against}", flush=True)  # noqa: T201
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({"machine": machine, "at": time.time(), "results": rows}, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
