"""The images, built by `deploy/dev/images.sh` and run as compose.yaml and the chart run them: as another user, on a
read-only root, without capabilities."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from core.database.embedded import LOGIN, OWNER, EmbeddedServer
from tests.cluster.release import Forwarder

pytestmark = [pytest.mark.images, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
MISSING = 2, 3  # how images.sh ends without root, and without its programs
OPTIONS = (
    "--read-only", "--tmpfs=/tmp:size=1g,mode=1777", "--cap-drop=all", "--security-opt=no-new-privileges",
    "--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096",
)  # fmt: skip
ENVIRONMENT = {**os.environ, "STORAGE_DRIVER": os.environ.get("STORAGE_DRIVER", "vfs")}


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Each image's name by its target."""
    targets = ("penstock", "gateway", "code", "run", "sandbox")
    script = ROOT / "deploy/dev/images.sh"
    done = subprocess.run([script, *targets], capture_output=True, text=True, check=False, timeout=3500)
    if done.returncode in MISSING and os.environ.get("CI") != "true":
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return dict(zip(targets, done.stdout.split(), strict=True))


def podman(*arguments: str, seconds: float = 120) -> str:
    runtime = ("--runtime=runc",) if shutil.which("runc") else ()
    command = ["podman", *runtime, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds, env=ENVIRONMENT)
    assert done.returncode == 0, f"{' '.join(arguments)}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def once(image: str, *command: str, options: tuple[str, ...] = ("--network=none",)) -> str:
    return podman("run", "--rm", *OPTIONS, *options, image, *command)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(image: str, *command: str, options: tuple[str, ...]) -> Iterator[str]:
    """The name of a container that works in the background on this machine's network."""
    name = f"penstock-test-{secrets.token_hex(4)}"
    podman("run", "--detach", "--name", name, "--network=host", *OPTIONS, *options, image, *command)
    try:
        yield name
    finally:
        podman("rm", "--force", "--volumes", "--time=2", name)


def until(name: str, answers: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not answers():
        assert time.monotonic() < deadline, podman("logs", name)
        time.sleep(0.5)


@pytest.fixture(scope="module")
def database(images: dict[str, str], postgres_server: EmbeddedServer) -> Iterator[tuple[str, ...]]:
    """Options for containers that reach a database whose schema the image has made."""
    names = ("images_penstock", "images_dagster")
    for name in names:
        postgres_server.ensure_database(name)
    folder = psycopg.conninfo.conninfo_to_dict(postgres_server.url(names[0]))["host"]
    forwarder = Forwarder("127.0.0.1", f"{folder}/.s.PGSQL.5432")
    given = {
        "PENSTOCK_DATABASE_URL": f"postgresql://{LOGIN}@{forwarder.address}/{names[0]}",
        "PENSTOCK_DAGSTER_DATABASE_URL": f"postgresql://{OWNER}@{forwarder.address}/{names[1]}",
        "PENSTOCK_GATEWAY_HOST": "127.0.0.1",
    }
    dagster = ROOT / "deploy/compose/dagster/dagster.yaml"
    options = (
        *(f"--env={name}={value}" for name, value in given.items()),
        f"--volume={dagster}:/opt/dagster/home/dagster.yaml:ro",
        "--volume=/var/lib/penstock",
        "--volume=/var/cache/penstock",
    )
    owner = f"--env=PENSTOCK_DATABASE_OWNER_URL=postgresql://{OWNER}@{forwarder.address}/{names[0]}"
    made = ("python", "-m", "dagster_project.schema_job")
    once(images["penstock"], *made, options=("--network=host", *options, owner))
    yield options
    forwarder.close()
    with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["penstock", "gateway", "code", "run", "sandbox"])
def test_nothing_runs_as_root_or_writes_to_the_root(images: dict[str, str], target: str) -> None:
    assert once(images[target], "id", "-u").strip() == "10001"
    tried = once(images[target], "sh", "-c", "touch /opt/x /usr/x 2>&1; touch /tmp/x && echo written").strip()
    assert tried.endswith("written") and tried.count("Read-only file system") == 2, tried


def test_the_command_line_and_all_rooms_are_there(images: dict[str, str]) -> None:
    assert once(images["penstock"], "penstock", "--version").startswith("penstock ")
    assert "resolve_task" in once(
        images["penstock"], "python", "-c",
        "from dagster_project.definitions import defs; print([j.name for j in defs.resolve_all_job_defs()])",
    )  # fmt: skip
    assert "usage" in once(images["run"], "dagster", "api", "execute_run", "--help").lower()


def test_the_gateway_answers_and_finds_itself_healthy(images: dict[str, str], database: tuple[str, ...]) -> None:
    port = free_port()
    with running(images["gateway"], options=(*database, f"--env=PENSTOCK_GATEWAY_PORT={port}")) as name:

        def ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
            return False

        until(name, ready)
        assert httpx.post(f"http://127.0.0.1:{port}/tasks", json={}, timeout=5).status_code == 401
        assert "default" in podman("exec", name, "penstock", "team", "list")


def test_the_code_location_serves_its_definitions(images: dict[str, str], database: tuple[str, ...]) -> None:
    port = str(free_port())
    serve = ("python", "-m", "dagster_project.code_server", "--host", "127.0.0.1", "--port", port)
    module = ("--location-name", "penstock", "--module-name", "dagster_project.definitions")
    with running(images["code"], *serve, *module, options=database) as name:
        check = ["exec", name, "dagster", "api", "grpc-health-check", "--host", "127.0.0.1", "--port", port]

        def serving() -> bool:
            with contextlib.suppress(AssertionError):
                return podman(*check) is not None
            return False

        until(name, serving)


def test_sandboxes_have_an_interpreter_and_compilers(images: dict[str, str]) -> None:
    source = "int main(void){return 0;}"
    script = f"cd /tmp && echo '{source}' > a.c && cc a.c && python3 --version && cmake --version && git --version"
    said = once(images["sandbox"], "sh", "-c", script)
    assert all(word in said for word in ("Python 3", "cmake version", "git version"))
    assert once(images["sandbox"], "sh", "-c", "ls /opt/venv 2>&1 || true").count("No such file") == 1
