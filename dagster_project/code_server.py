"""Dagster's code server, which keeps its connections to the database, and beats while it answers its own health
check, where a supervisor watches it.

Its arguments are those of `dagster api grpc`.
"""

import os
import runpy
import sys
import threading
import time
from collections.abc import Callable

CHECK_SECONDS = 10.0
ANSWER_SECONDS = 5.0


def main() -> None:
    from core.heartbeats import HEARTBEAT_VARIABLE, heartbeat
    from dagster_project.warm.dagster_storage import pool_connections

    pool_connections()
    if (
        HEARTBEAT_VARIABLE in os.environ
    ):  # the supervisor watches it, and has given it a socket; a probe of a cluster asks itself
        socket = sys.argv[sys.argv.index("--socket") + 1]
        threading.Thread(target=_check, args=(socket, heartbeat()), name="health", daemon=True).start()
    sys.argv[1:1] = ["api", "grpc"]
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)


def _check(socket: str, beat: Callable[[], None]) -> None:
    """Asks the server as the daemon does, by its socket: it answers only while one of its own threads is free."""
    import grpc  # type: ignore[import-untyped]
    from grpc_health.v1.health_pb2 import HealthCheckRequest  # type: ignore[import-untyped]
    from grpc_health.v1.health_pb2_grpc import HealthStub  # type: ignore[import-untyped]

    with grpc.insecure_channel(f"unix:{socket}") as channel:
        stub = HealthStub(channel)
        while True:
            time.sleep(CHECK_SECONDS)
            try:
                stub.Check(HealthCheckRequest(service="DagsterApi"), timeout=ANSWER_SECONDS)
            except grpc.RpcError:  # not yet there, or too busy: the supervisor judges by how long
                continue
            beat()


if __name__ == "__main__":
    main()
