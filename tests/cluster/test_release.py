"""The chart's own migrations, code location and daemon in pods, and the runs and steps that they start as Jobs."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.database.embedded import LOGIN, OWNER, EmbeddedServer

from .release import NAMESPACE, Forwarder, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

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
            remote_job_origin=job.get_remote_origin(), job_code_origin=job.get_python_origin(), asset_graph=repository.asset_graph,
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
    }
    forwarder.close()
    with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def release(cluster: Any, databases: dict[str, str]) -> Iterator[Release]:
    volumes = cluster.plan.data / "volumes"
    volumes.mkdir()
    made = Release(cluster, volumes, databases)
    made.start()
    yield made
    gone = ("namespace/penstock", "namespace/penstock-sandboxes", "pv/penstock-home", "pv/penstock-cache")
    with suppress(Exception):
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
