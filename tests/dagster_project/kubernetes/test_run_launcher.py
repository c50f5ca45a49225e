"""A run is declared failed only when its pods are gone, and never because the API of Kubernetes does not answer."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.launcher.base import WorkerStatus
from kubernetes.client import V1Job, V1JobStatus, V1ObjectMeta, V1Pod, V1PodStatus
from kubernetes.client.exceptions import ApiException

from dagster_project.kubernetes import launcher
from dagster_project.kubernetes.launcher import KubernetesRunLauncher

RUN = DagsterRun("resolve_task", run_id="11111111-2222-4333-8444-555555555555", status=DagsterRunStatus.STARTED)
JOB = f"dagster-run-{RUN.run_id}"


INSTANCE = mock.Mock(count_resume_run_attempts=lambda run_id: 0)
"""A launcher refers to its instance weakly."""


class FakeCluster:
    """One Job and its pods, as the two APIs of the client show them. A deleted pod needs `ticks` more looks to end."""

    def __init__(self, status: V1JobStatus | None, pods: int = 1, phase: str = "Running", ticks: int = 0) -> None:
        self.status, self.ticks, self.deleted = status, ticks, 0
        self.pods = [
            V1Pod(metadata=V1ObjectMeta(name=f"{JOB}-{n}"), status=V1PodStatus(phase=phase)) for n in range(pods)
        ]
        self.fails: ApiException | Exception | None = None

    def read_namespaced_job_status(self, name: str, namespace: str, **_: Any) -> V1Job:
        self._answer()
        assert (name, namespace) == (JOB, "penstock")
        if self.status is None:
            raise ApiException(status=404)
        return V1Job(status=self.status)

    def delete_namespaced_job(self, name: str, namespace: str, *, propagation_policy: str, **_: Any) -> None:
        self._answer()
        assert propagation_policy == "Background"
        if self.status is None:
            raise ApiException(status=404)
        self.status, self.deleted = None, self.deleted + 1

    def list_namespaced_pod(self, namespace: str, *, label_selector: str, **_: Any) -> Any:
        self._answer()
        assert label_selector == f"job-name={JOB}"
        if any(pod.metadata.deletion_timestamp for pod in self.pods):
            self.ticks -= 1
            if self.ticks < 0:
                self.pods = []
        return SimpleNamespace(items=list(self.pods))

    def delete_namespaced_pod(self, name: str, namespace: str, **_: Any) -> None:
        self._answer()
        for pod in self.pods:
            if pod.metadata.name == name:
                pod.metadata.deletion_timestamp = datetime.now(UTC)

    def _answer(self) -> None:
        if self.fails:
            raise self.fails


def made(cluster: FakeCluster) -> KubernetesRunLauncher:
    with mock.patch("dagster_k8s.launcher.load_kubernetes_config"):
        found = KubernetesRunLauncher(
            service_account_name="run",
            instance_config_map="i",
            dagster_home="/d",
            job_image="i",
            job_namespace="penstock",
        )
    found._api_client = SimpleNamespace(
        batch_api=cluster, core_api=cluster,
        get_job_status=lambda namespace, job_name: _status(cluster, namespace, job_name),
        get_pod_names_in_job=lambda job, namespace: [pod.metadata.name for pod in cluster.pods],
        get_pod_debug_info=lambda pod, namespace, **_: f"{pod} was evicted",
        get_job_debug_info=lambda job, namespace: "no such Job",
    )  # fmt: skip
    found.register_instance(INSTANCE)
    return found


def _status(cluster: FakeCluster, namespace: str, name: str) -> V1JobStatus | None:
    try:
        return cluster.read_namespaced_job_status(name, namespace).status
    except ApiException as error:
        if error.status == 404:
            return None
        raise


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    slept: list[float] = []
    monkeypatch.setattr(launcher.time, "sleep", slept.append)
    yield slept


def test_a_running_job_is_left_alone() -> None:
    cluster = FakeCluster(V1JobStatus(active=1))
    assert made(cluster).check_run_worker_health(RUN).status is WorkerStatus.RUNNING
    assert cluster.deleted == 0


def test_a_failed_job_is_deleted_before_its_run_is_failed_with_what_its_pods_say() -> None:
    cluster = FakeCluster(V1JobStatus(failed=1), phase="Failed")
    found = made(cluster).check_run_worker_health(RUN)
    assert found.status is WorkerStatus.FAILED
    assert cluster.deleted == 1
    assert "was evicted" in (found.msg or "")


def test_a_pod_whose_job_is_gone_is_ended_first() -> None:
    """Somebody deleted the Job and left its pod: Dagster would declare the run failed at once."""
    cluster = FakeCluster(None, ticks=1)
    watched = made(cluster)
    assert watched.check_run_worker_health(RUN).status is WorkerStatus.RUNNING
    assert cluster.pods[0].metadata.deletion_timestamp is not None
    assert watched.check_run_worker_health(RUN).status is WorkerStatus.RUNNING  # it still ends
    assert watched.check_run_worker_health(RUN).status is WorkerStatus.FAILED


def test_a_deleted_job_without_pods_is_a_failed_run() -> None:
    assert made(FakeCluster(None, pods=0)).check_run_worker_health(RUN).status is WorkerStatus.FAILED


@pytest.mark.parametrize("failure", [ApiException(status=503), ApiException(status=403), ConnectionRefusedError()])
def test_while_the_api_does_not_answer_nothing_is_declared(failure: Exception) -> None:
    cluster = FakeCluster(V1JobStatus(active=1))
    cluster.fails = failure
    found = made(cluster).check_run_worker_health(RUN)
    assert found.status is WorkerStatus.RUNNING
    assert "does not answer" in (found.msg or "")
    cluster.fails = None
    assert cluster.deleted == 0


def test_a_pod_on_a_lost_node_holds_its_run_for_minutes_only() -> None:
    cluster = FakeCluster(None, ticks=1000)
    watched = made(cluster)
    assert watched.check_run_worker_health(RUN).status is WorkerStatus.RUNNING
    cluster.pods[0].metadata.deletion_timestamp = datetime.now(UTC) - timedelta(seconds=launcher.LOST_SECONDS + 1)
    assert watched.check_run_worker_health(RUN).status is WorkerStatus.FAILED


def test_a_run_that_did_not_start_in_time_is_ended_when_dagster_asks_why(no_waiting: list[float]) -> None:
    cluster = FakeCluster(V1JobStatus(active=1), phase="Pending", ticks=2)
    assert "was evicted" in (made(cluster).get_run_worker_debug_info(RUN) or "")
    assert cluster.deleted == 1 and cluster.pods == []
    assert len(no_waiting) == 3


def test_the_end_is_waited_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(launcher.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(launcher.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    made(FakeCluster(V1JobStatus(active=1), ticks=10_000)).get_run_worker_debug_info(RUN)
    assert now[0] == pytest.approx(launcher.END_SECONDS, abs=1.0)


def test_dagsters_monitoring_asks_before_it_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order on which `get_run_worker_debug_info` relies, in the installed version of Dagster."""
    from dagster._daemon.monitoring import run_monitoring

    order: list[str] = []
    cluster = FakeCluster(V1JobStatus(active=1), phase="Pending")
    watched = made(cluster)
    monkeypatch.setattr(cluster, "delete_namespaced_job", lambda *_, **__: order.append("Job deleted"))
    instance = SimpleNamespace(
        run_launcher=watched, run_monitoring_start_timeout_seconds=1,
        get_run_stats=lambda run_id: SimpleNamespace(launch_time=1.0),
        report_run_failed=lambda *_: order.append("run failed"),
    )  # fmt: skip
    starting = RUN.with_status(DagsterRunStatus.STARTING)
    run_monitoring.monitor_starting_run(instance, SimpleNamespace(dagster_run=starting), mock.Mock())  # type: ignore[arg-type]
    assert order[0] == "Job deleted" and order[-1] == "run failed"
