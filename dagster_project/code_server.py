"""Dagster's code server, which keeps its connections to the database. Nothing else is changed.

Its arguments are those of `dagster api grpc`.
"""

import runpy
import sys


def main() -> None:
    from dagster_project.warm.dagster_storage import pool_connections

    pool_connections()
    sys.argv[1:1] = ["api", "grpc"]
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
