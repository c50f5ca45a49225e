"""Time from webhook to published result for the demo's sample task: our run launcher against Dagster's default one.

The same assets, settings and machine; the deliveries come one after another, with the platform up and warm. Times are
from the delivery's row to the publication's, both by the database's clock. A second row leaves out the time of the
asset `execution`, which is the same work with either launcher: what is left is the platform's.
"""

import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from deploy.demo.build import build, issue_payload
from sandbox import backends
from tests.bench.running import PENSTOCK, deliver, start_platform

DELIVERIES = {"warm": 10, "stock": 5}
SAMPLE = "parcel_quotes"


def _seconds(state: dict[str, Any], task: str, timeout: float = 300.0) -> tuple[float, float]:
    """The time to the published result, and that without the execution."""
    query = (
        "SELECT extract(epoch FROM p.updated_at - d.received_at), t.state, "
        "(SELECT seconds FROM stage_outputs s WHERE s.task_id = t.id AND s.stage = 'execution') FROM publications p "
        "JOIN tasks t ON t.id = p.task_id JOIN deliveries d ON d.id = t.event_id "
        "WHERE p.task_id = %s AND p.state = 'published'"
    )
    deadline = time.monotonic() + timeout
    with psycopg.connect(state["database"], autocommit=True, options="-c search_path=penstock,public") as connection:
        connection.execute("SET ROLE penstock_system")
        while time.monotonic() < deadline:
            row = connection.execute(query.encode(), (task,)).fetchone()
            if row is not None:
                if row[1] != "resolved":
                    raise RuntimeError(f"the sample task ended {row[1]}")
                return float(row[0]), float(row[0]) - float(row[2])
            time.sleep(0.02)
    raise RuntimeError(f"task {task} was not published within {timeout:.0f} s")


def _series(launcher: str, sandbox: str) -> list[tuple[float, float]]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        sample = build(SAMPLE, root / "repositories" / SAMPLE)
        process, environment, state = start_platform(
            root / "home", root / "repositories", PENSTOCK_RUN_LAUNCHER=launcher, PENSTOCK_SANDBOX=sandbox
        )
        try:
            subprocess.run(
                [PENSTOCK, "index", "add", SAMPLE, str(sample.directory), "--repository", sample.repository],
                env=environment, check=True, capture_output=True, timeout=120,
            )  # fmt: skip
            _seconds(state, deliver(state, root / "home", issue_payload(sample, 1)))  # not counted: caches are cold
            return [
                _seconds(state, deliver(state, root / "home", issue_payload(sample, number)))
                for number in range(2, DELIVERIES[launcher] + 2)
            ]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def measure() -> list[dict[str, Any]]:
    """Two rows for each sandbox that works on this machine: each launcher's median, and their ratio."""
    rows = []
    for sandbox in [backend.name for backend in backends() if backend.available() is None]:
        series = [_series(launcher, sandbox) for launcher in DELIVERIES]
        for part, name in enumerate(("webhook to published result", "the same without the execution")):
            ours, stock = ([times[part] for times in one] for one in series)
            rows.append(
                {
                    "name": f"{name}, p50, {sandbox}",
                    "value": round(statistics.median(ours), 3),
                    "unit": "s",
                    "against": "the same assets with Dagster's stock launcher and queue",
                    "against_value": round(statistics.median(stock), 3),
                    "ratio": round(statistics.median(stock) / statistics.median(ours), 2),
                    "all": {"warm": [round(s, 3) for s in ours], "stock": [round(s, 3) for s in stock]},
                }
            )
    return rows
