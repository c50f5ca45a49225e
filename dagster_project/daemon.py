"""The Dagster daemon with a loop for sensors that waits for their ticks, which tells its supervisor that each of its
loops goes on (`dagster_project.warm.turns`). Nothing else is changed.
"""

import sys

SENSOR_LOOP_SECONDS = 0.5


def main() -> None:
    from core.heartbeats import heartbeat
    from dagster_project.warm.dagster_internals import run_daemon

    run_daemon(sys.argv[1], SENSOR_LOOP_SECONDS, heartbeat())


if __name__ == "__main__":
    main()
