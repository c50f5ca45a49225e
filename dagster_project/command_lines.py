"""The processes of a platform: their command lines, and how each says that it is ready and that it is alive."""

import sys
import urllib.error
import urllib.request

from core.settings import Settings
from dagster_project import instance
from dagster_project.parts import Child
from dagster_project.warm.listening import listening

CODE_SERVER_THREADS = 16
"""Three sensors long-poll all the time; by default a machine of two cores would have six threads."""
DAGSTER_GRACE = 1.0
"""Seconds that Dagster's processes get to stop. They would wait for the sensors' ticks, which long-poll for up to 20; a
tick that is killed is evaluated anew, and its runs have keys."""


def children(settings: Settings, gateway: str, dagster: tuple[str, int] | None) -> list[Child]:
    """`gateway` is the gateway's address; `dagster` host and port of the webserver, None for none."""
    python, run = sys.executable, settings.run_folder
    _, workspace, code = instance.files(settings)
    stock = settings.run_launcher == "stock"
    logs = ["--log-level", "warning", *(["--log-format", "json"] if settings.log_format == "json" else [])]
    code_server = ["dagster", "api", "grpc"] if stock else ["dagster_project.code_server"]
    found = [
        Child(
            "gateway",
            [python, "-m", "gateway"],
            lambda: answers(f"{gateway}/readyz"),
            alive=lambda: answers(f"{gateway}/healthz"),
        ),
        Child(
            "code-server",
            [python, "-m", *code_server, "--socket", str(code), "--location-name", "penstock",
             "--module-name", "dagster_project.definitions", *logs,
             "--max-workers", str(CODE_SERVER_THREADS)],
            lambda: listening(code),
            DAGSTER_GRACE,
            heartbeat=None if stock else run / "code-server.beat",
            forks=True,
        ),
    ]  # fmt: skip
    if settings.event_log == "kafka":
        relay = [python, "-m", "core.eventlog.relay"]
        found.append(Child("relay", relay, lambda: True, heartbeat=run / "relay.beat"))
    if settings.objects_wanted.exists():
        found.append(object_node(settings))
    if settings.model_proxy_file.is_file():
        proxy = f"http://{settings.model_proxy_host}:{settings.model_proxy_port}/healthz"
        known = settings.model_proxy_port != 0
        found.append(
            Child(
                "model-proxy",
                [python, "-m", "penstock", "model-proxy"],
                (lambda: answers(proxy)) if known else lambda: True,
                alive=(lambda: answers(proxy)) if known else None,
            )
        )
    if settings.run_launcher == "warm":
        socket_path = run / "warm.sock"
        found.append(
            Child(
                "warm",
                [python, "-m", "dagster_project.warm.process", str(socket_path)],
                lambda: listening(socket_path),
                heartbeat=run / "warm.beat",
                forks=True,
            )
        )
    daemon = ["dagster._daemon", "run", "-w"] if stock else ["dagster_project.daemon"]
    beat = None if stock else run / "daemon.beat"
    command = [python, "-m", *daemon, str(workspace)]
    found.append(Child("daemon", command, lambda: True, DAGSTER_GRACE, heartbeat=beat, forks=True))
    if dagster is not None:
        host, port = dagster
        found.append(
            Child(
                "webserver",
                [python, "-m", "dagster_webserver", "-h", host, "-p", str(port), "-w", str(workspace),
                 *logs],
                lambda: answers(f"http://{host}:{port}/server_info"),
                DAGSTER_GRACE,
                alive=lambda: answers(f"http://{host}:{port}/server_info"),
                forks=True,
            )
        )  # fmt: skip
    return found


def object_node(settings: Settings) -> Child:
    """The process that runs durable objects; started once somebody has called one."""
    command, beat = [sys.executable, "-m", "penstock", "object", "node"], settings.run_folder / "object-node.beat"
    return Child("object-node", command, lambda: True, grace=25.0, heartbeat=beat)


def answers(url: str) -> bool:
    """Whether a server of ours answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  loopback address of our own child
            return int(response.status) == 200
    except (urllib.error.URLError, OSError):
        return False
