"""The processes of the chart, with the commands and files that it renders, on this machine: what no schema can show."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.database.embedded import EmbeddedServer
from tests.deploy.chart.rendering import case, one, pods

pytestmark = pytest.mark.services
ROOT = Path(__file__).parents[3]


@pytest.fixture
def environment(postgres_server: EmbeddedServer, database_url: str, tmp_path: Path) -> dict[str, str]:
    """Of a Dagster pod: the settings' ConfigMap, secrets in files, the rendered instance file."""
    documents = case("everything")
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        one(documents, "ConfigMap", "penstock-dagster")["data"]["dagster.yaml"].replace("/opt/dagster/home", str(home))
    )
    (tmp_path / "jobs.yaml").write_text(one(documents, "ConfigMap", "penstock-dagster")["data"]["jobs.yaml"])
    (tmp_path / "database_url").write_text(database_url)
    postgres_server.ensure_database("chart_dagster")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "DAGSTER_"))},
        **one(documents, "ConfigMap", "penstock-settings")["data"],
        "PENSTOCK_HOME": str(tmp_path / "home"),
        "PENSTOCK_CACHE": str(tmp_path / "cache"),
        "PENSTOCK_KUBERNETES_JOBS": str(tmp_path / "jobs.yaml"),
        "PENSTOCK_DATABASE_URL_FILE": str(tmp_path / "database_url"),
        "PENSTOCK_DAGSTER_DATABASE_URL": postgres_server.url("chart_dagster", owner=True),
        "DAGSTER_HOME": str(home),
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def code_server(environment: dict[str, str], tmp_path: Path) -> Iterator[int]:
    """The code location, with the rendered arguments but for address and port."""
    port = free_port()
    words = next(pod for pod in pods(case("everything")) if pod.component == "code").containers[0]["args"]
    arguments = [{"0.0.0.0": "127.0.0.1", "4000": str(port)}.get(word, word) for word in words]  # noqa: S104
    assert arguments[0] == "python"
    with (tmp_path / "code.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *arguments[1:]], env=environment, cwd=ROOT, stdout=log, stderr=log)
    yield port
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_the_code_location_answers_the_probe_and_lists_its_definitions(
    environment: dict[str, str], code_server: int, tmp_path: Path
) -> None:
    check = """
import sys, time
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
deadline = time.monotonic() + 90
with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}") as channel:
    while True:
        try:
            asked = health_pb2.HealthCheckRequest(service="DagsterApi")
            found = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=5)
            break
        except grpc.RpcError:
            assert time.monotonic() < deadline
            time.sleep(0.3)
assert found.status == health_pb2.HealthCheckResponse.SERVING
from dagster._grpc.client import DagsterGrpcClient
names = DagsterGrpcClient(port=int(sys.argv[1]), host="127.0.0.1").list_repositories()
print(names)
"""
    done = subprocess.run(
        [sys.executable, "-c", check, str(code_server)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr + (tmp_path / "code.log").read_text()[-3000:]
    assert "ListRepositoriesResponse" in done.stdout and "ErrorInfo" not in done.stdout


def test_the_instance_file_is_dagsters_and_needs_no_cluster_to_be_read(environment: dict[str, str]) -> None:
    """A code location has no service account's token: reading runs must not ask for one."""
    script = """
from dagster import DagsterInstance
with DagsterInstance.get() as instance:
    assert instance.get_runs_count() == 0
    assert instance.run_monitoring_enabled
    assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 66
    print(type(instance.compute_log_manager).__name__)
from dagster_project.definitions import defs
job = defs.resolve_job_def("refresh_context")
assert job.executor_def.name == "k8s", job.executor_def.name
assert "dagster-k8s/config" in job.tags
assert defs.resolve_job_def("resolve_task").executor_def.name == "in_process"
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env={**environment, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        cwd=ROOT, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "NoOpComputeLogManager"


def test_the_gateway_becomes_ready(environment: dict[str, str], tmp_path: Path) -> None:
    import urllib.request

    port = free_port()
    environment |= {"PENSTOCK_GATEWAY_HOST": "127.0.0.1", "PENSTOCK_GATEWAY_PORT": str(port)}
    with (tmp_path / "gateway.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "gateway"], env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=6) as answer:
                    assert answer.status == 200
                    break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None, (tmp_path / "gateway.log").read_text()
                time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(30)
