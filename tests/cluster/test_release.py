"""The chart's own migrations, code location and daemon in pods, and the runs and steps that they start as Jobs."""

import json
import os
import secrets
import shutil
import subprocess
import sysconfig
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from core.database.embedded import LOGIN, OWNER, EmbeddedServer
from core.signatures import sign_github
from tests.platform.conftest import issue, make_repository

from .release import NAMESPACE, Forwarder, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

WEBHOOK_SECRET = secrets.token_hex(16)
LAUNCH = """
import json, sys
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._core.definitions.selector import JobSubsetSelector
from dagster._core.test_utils import create_run_for_test
with DagsterInstance.get() as instance:
    with WorkspaceProcessContext(instance, GrpcServerTarget("localhost", 4000, None, "penstock")) as process:
        workspace = process.create_request_context()
        location = workspace.get_code_location("penstock")
        repository = next(iter(location.get_repositories().values()))
        job = repository.get_full_job(sys.argv[1])
        plan = location.get_execution_plan(job, {}, step_keys_to_execute=None, known_state=None, instance=instance)
        run = instance.create_run(
            job_name=job.name, run_id=None, run_config={}, status=None, tags=job.run_tags, root_run_id=None,
            parent_run_id=None, step_keys_to_execute=None, execution_plan_snapshot=plan.execution_plan_snapshot,
            job_snapshot=job.job_snapshot, parent_job_snapshot=job.parent_job_snapshot, asset_selection=None,
            asset_check_selection=None, resolved_op_selection=None, op_selection=None,
            remote_job_origin=job.get_remote_origin(), job_code_origin=job.get_python_origin(),
            asset_graph=repository.asset_graph,
        )
        print(instance.submit_run(run.run_id, workspace).run_id)
"""


@pytest.fixture(scope="module")
def databases(cluster: Any, postgres_server: EmbeddedServer) -> Iterator[dict[str, str]]:
    """Addresses of a database for Penstock and one for Dagster, as pods reach them, by the keys of the Secret."""
    names = ("cluster_penstock", "cluster_dagster")
    for name in names:
        postgres_server.ensure_database(name)
    folder = psycopg.conninfo.conninfo_to_dict(postgres_server.url(names[0]))["host"]
    forwarder = Forwarder(cluster.host, f"{folder}/.s.PGSQL.5432")
    yield {
        "url": f"postgresql://{LOGIN}@{forwarder.address}/{names[0]}",
        "owner-url": f"postgresql://{OWNER}@{forwarder.address}/{names[0]}",
        "dagster-url": f"postgresql://{OWNER}@{forwarder.address}/{names[1]}",
        "webhook": WEBHOOK_SECRET,
    }
    forwarder.close()
    with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def release(cluster: Any, databases: dict[str, str]) -> Iterator[Release]:
    volumes = cluster.plan.data / "volumes"
    packages = volumes / "cache" / "packages"
    packages.parent.mkdir(parents=True)
    # As links where that is possible: only what is mounted in sandboxes has to be in the cache.
    source = Path(sysconfig.get_path("purelib"))
    if subprocess.run(["cp", "-al", str(source), str(packages)], check=False, timeout=300).returncode:
        shutil.rmtree(packages, ignore_errors=True)
        shutil.copytree(source, packages, symlinks=True)
    made = Release(cluster, volumes, databases)
    made.start()
    yield made
    gone = ("namespace/penstock", "namespace/penstock-sandboxes", "pv/penstock-home", "pv/penstock-cache")
    gone += ("pv/penstock-sandboxes-cache",)
    with suppress(Exception):
        workloads = ("deployments,jobs,pods", "--all", "-n", NAMESPACE, "--grace-period=1", "--force")
        cluster.kubectl("delete", *workloads, "--wait=false")
        cluster.kubectl("delete", "--ignore-not-found", "--wait", "--timeout=240s", *gone, seconds=300)


def dagster_rows(databases: dict[str, str], query: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(databases["dagster-url"]) as connection:
        return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]


def launch(release: Release, job: str) -> str:
    """Queues a run from the pod of the code location; the daemon starts it. Its id."""
    return release.run("python", "-c", LAUNCH, job).strip().splitlines()[-1]


def status(databases: dict[str, str], run: str) -> str:
    return str(dagster_rows(databases, "SELECT status FROM runs WHERE run_id = %s", run)[0][0])


def events(databases: dict[str, str], run: str) -> list[str]:
    query = "SELECT dagster_event_type FROM event_logs WHERE run_id = %s AND dagster_event_type IS NOT NULL ORDER BY id"
    return [row[0] for row in dagster_rows(databases, query, run)]


def test_a_run_and_its_step_are_jobs_of_their_own(release: Release, databases: dict[str, str]) -> None:
    run = launch(release, "index_vectors")
    release.await_("the run ends", lambda: status(databases, run) in ("SUCCESS", "FAILURE"), 300)
    assert status(databases, run) == "SUCCESS", release.explain()
    found = events(databases, run)
    assert [e for e in found if e in ("STEP_SUCCESS", "PIPELINE_SUCCESS")] == ["STEP_SUCCESS", "PIPELINE_SUCCESS"]

    def jobs() -> dict[str, dict[str, Any]]:
        return {j["metadata"]["name"].split("-")[1]: j for j in release.jobs(f"dagster/run-id={run}")}

    # A run's events are there before its pod has ended.
    release.await_("both Jobs end", lambda: all(j["status"].get("succeeded") == 1 for j in jobs().values()), 120)
    assert jobs().keys() == {"run", "step"}
    step = jobs()["step"]["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert step["requests"]["cpu"] == "20m"
    assert jobs()["step"]["metadata"]["ownerReferences"][0]["name"].startswith("dagster-run-")
    admitted = release.cluster.get("pods", "-n", NAMESPACE, "-l", f"dagster/run-id={run}")["items"]
    assert len(admitted) == 2
    assert all(pod["spec"]["securityContext"]["runAsNonRoot"] for pod in admitted)


def rows(databases: dict[str, str], query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(databases["owner-url"], options="-c search_path=penstock,public") as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def deliver(release: Release, payload: dict[str, Any]) -> int:
    """The status of the answer of the gateway's pod to a signed webhook."""
    body = json.dumps(payload).encode()
    headers = {
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": sign_github(WEBHOOK_SECRET, body),
        "Content-Type": "application/json",
    }
    address = release.ready("gateway")[0]["status"]["podIP"]
    return httpx.post(f"http://{address}:8420/webhooks/github", content=body, headers=headers, timeout=30).status_code


def test_a_run_whose_pod_is_deleted_is_replaced_and_nothing_is_published_twice(
    cluster: Any, release: Release, databases: dict[str, str]
) -> None:
    repository = make_repository(cluster.plan.data / "volumes" / "home" / "repositories" / "shop")
    for path in (repository.parent, repository, *repository.rglob("*")):
        os.chown(path, 10001, 10001, follow_symlinks=False)
    release.run("penstock", "index", "add", "shop", "/var/lib/penstock/repositories/shop", "--repository", "acme/shop")
    assert deliver(release, issue("acme/shop", 1)) == 202
    working = "SELECT count(*) FROM attempts a JOIN trajectory USING (task_id, attempt) WHERE a.ended_at IS NULL"
    release.await_("an attempt at work", lambda: rows(databases, working)[0][0] > 0, 240)
    [first] = release.jobs("dagster/job=resolve_task")
    [pod] = cluster.get("pods", "-n", NAMESPACE, "-l", f"job-name={first['metadata']['name']}")["items"]
    cluster.kubectl("delete", "pod", "-n", NAMESPACE, pod["metadata"]["name"], "--grace-period=0", "--force")
    lost = first["metadata"]["labels"]["dagster/run-id"]
    release.await_("Dagster notices", lambda: status(databases, lost) == "FAILURE", 240)
    ended = "SELECT state FROM tasks WHERE state IN ('resolved', 'unresolved', 'failed', 'cancelled')"
    release.await_("the task ends", lambda: bool(rows(databases, ended)), 400)
    assert rows(databases, ended) == [("resolved",)], release.explain()
    time.sleep(5)
    runs = dagster_rows(databases, "SELECT run_id, status FROM runs WHERE pipeline_name = 'resolve_task'")
    assert len(runs) >= 2 and dict(runs)[lost] == "FAILURE" and "SUCCESS" in dict(runs).values()
    assert rows(databases, "SELECT count(*) FROM publications") == [(1,)]
    assert rows(databases, "SELECT count(*) FROM event_log WHERE topic = 'penstock.outcomes'") == [(1,)]
    assert rows(databases, "SELECT count(*) FROM attempts WHERE ended_at IS NULL") == [(0,)]
    branches = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", str(repository), "branch", "--format=%(refname:short)"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    assert len(branches) == 2 and "main" in branches, branches
