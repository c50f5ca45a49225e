"""A whole platform for benchmarks, in processes of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import upgrade
from core.settings import Settings
from core.signatures import sign_github
from dagster_project.records import platform_file

PENSTOCK = str(Path(sys.executable).with_name("penstock"))


def start_platform(
    home: Path, roots: Path, **settings: str
) -> tuple[subprocess.Popen[bytes], dict[str, str], dict[str, Any]]:
    """Starts `penstock up` on a home folder; returns its process, environment and state once it is up."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "DAGSTER_"))},
        "PENSTOCK_HOME": str(home),
        "PENSTOCK_ALLOWED_ROOTS": str(roots),
        "PENSTOCK_GATEWAY_PORT": "0",
        "PENSTOCK_DAGSTER_PORT": "0",
        **settings,
    }
    process = subprocess.Popen(
        [PENSTOCK, "up"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    file = platform_file(Settings(home=home))
    deadline = time.monotonic() + 120
    while not file.is_file():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the platform did not come up; see {home / 'logs'}")
        time.sleep(0.1)
    return process, environment, json.loads(file.read_text())


def deliver(state: dict[str, Any], home: Path, payload: dict[str, Any]) -> str:
    """Delivers a webhook about an issue; returns the task that it starts."""
    body = json.dumps(payload).encode()
    secret = (home / "secrets" / "github-webhook-secret").read_text().strip()
    headers = {
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": sign_github(secret, body),
    }
    answer = httpx.post(f"{state['gateway']}/webhooks/github", content=body, headers=headers, timeout=15)
    answer.raise_for_status()
    return str(answer.json()["task"])


@contextmanager
def database_server() -> Iterator[EmbeddedServer]:
    """A PostgreSQL of its own, with the schema in its database `bench`."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "data")
        try:
            server.ensure_database("bench")
            upgrade(server.url("bench", owner=True), login=LOGIN)
            yield server
        finally:
            server.release()
