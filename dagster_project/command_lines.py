"""The processes of a platform: their command lines, and how each says that it is ready."""

import sys
import urllib.error
import urllib.request
from pathlib import Path

from core.settings import Settings
from dagster_project import instance
from dagster_project.parts import Child
from dagster_project.warm import launcher


def children(settings: Settings, gateway: str, dagster: tuple[str, int] | None) -> list[Child]:
    """`gateway` is the gateway's address; `dagster` host and port of the webserver, None for none."""
    python, run = sys.executable, settings.run_folder
    _, workspace, code = instance.files(settings)
    found = [
        Child("gateway", [python, "-m", "gateway"], lambda: answers(f"{gateway}/readyz")),
        Child(
            "code-server",
            [python, "-m", "dagster", "api", "grpc", "--socket", str(code), "--location-name", "penstock",
             "--module-name", "dagster_project.definitions", "--log-level", "warning"],
            lambda: _listens(code),
        ),
    ]  # fmt: skip
    if settings.event_log == "kafka":
        found.append(Child("relay", [python, "-m", "core.eventlog.relay"], lambda: True))
    if settings.run_launcher == "warm":
        socket_path = run / "warm.sock"
        found.append(
            Child(
                "warm",
                [python, "-m", "dagster_project.warm.process", str(socket_path)],
                lambda: _listens(socket_path),
            )
        )
    stock = settings.run_launcher == "stock"
    daemon = ["dagster._daemon", "run", "-w"] if stock else ["dagster_project.daemon"]
    found.append(Child("daemon", [python, "-m", *daemon, str(workspace)], lambda: True))
    if dagster is not None:
        host, port = dagster
        found.append(
            Child(
                "webserver",
                [python, "-m", "dagster_webserver", "-h", host, "-p", str(port), "-w", str(workspace),
                 "--log-level", "warning"],
                lambda: answers(f"http://{host}:{port}/server_info"),
            )
        )  # fmt: skip
    return found


def answers(url: str) -> bool:
    """Whether a server of ours answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  loopback address of our own child
            return int(response.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def _listens(path: Path) -> bool:
    return launcher.listening(path)
