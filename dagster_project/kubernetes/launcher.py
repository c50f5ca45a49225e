"""Starts each run as a Job by dagster-k8s, and ends that Job before its run is declared failed.

Dagster's monitoring declares a run failed when its Job cannot be asked about, or takes too long to start, and leaves
the Job as it is: then a pod goes on for a run that has ended, and a relaunched one works beside it. Leases keep the
results right; this keeps two pods from working. While the API of Kubernetes does not answer, nothing is known and
nothing is declared.
"""

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dagster import DagsterRun
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster_k8s.job import get_job_name_from_run_id
from dagster_k8s.launcher import K8sRunLauncher
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from collections.abc import Mapping

CALL_SECONDS = 10.0
END_SECONDS = 75.0
"""How long the end of a run's pods is waited for: their grace of 60 s, and some more."""
LOST_SECONDS = 180.0
"""A pod that should have ended so long ago is on a node that does not answer. The lease decides from then on."""
MOST_EXPLAINED = 8000

_logger = logging.getLogger(__name__)


class KubernetesRunLauncher(K8sRunLauncher):
    """Configured as `K8sRunLauncher` is."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: "Mapping[str, Any]") -> "KubernetesRunLauncher":
        return cls(inst_data=inst_data, **config_value)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """FAILED only when no pod of the run is left."""
        found: CheckRunHealthResult = super().check_run_worker_health(run)
        if found.status in (WorkerStatus.RUNNING, WorkerStatus.SUCCESS):
            return found
        why = self._explained(run)
        try:
            left = self._end(run)
        except (ApiException, HTTPError, OSError) as error:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"the API of Kubernetes does not answer ({_name(error)})")
        if left:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"waiting for the end of {', '.join(left)}")
        return CheckRunHealthResult(WorkerStatus.FAILED, "\n".join(part for part in (found.msg, why) if part))

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """What the run's pods say. Dagster asks for it at the moment when it declares a run failed or cancelled, also
        one that did not start in time, so the Job is ended here, and its end waited for."""
        text = self._explained(run, include_container_logs)
        deadline = time.monotonic() + END_SECONDS
        try:
            while (left := self._end(run)) and time.monotonic() < deadline:
                time.sleep(1.0)
        except (ApiException, HTTPError, OSError) as error:
            _logger.warning("the Job of run %s could not be ended: %s", run.run_id, _name(error))
        else:
            if left:
                _logger.warning("run %s: %s did not end within %.0f s", run.run_id, ", ".join(left), END_SECONDS)
        return text

    def _explained(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:
        try:
            text = super().get_run_worker_debug_info(run, include_container_logs)
        except Exception as error:  # it is about what is broken, and reports what it can
            return f"its pods say nothing ({_name(error)})"
        return text[-MOST_EXPLAINED:] if text else text

    def _end(self, run: DagsterRun) -> list[str]:
        """Deletes the run's Job and pods; safe to repeat. The names of those pods that still end."""
        namespace = self.get_container_context_for_run(run).namespace
        attempt = self._get_resume_attempt_number(run)
        job = get_job_name_from_run_id(run.run_id, attempt)  # type: ignore[no-untyped-call]
        batch, core = self._api_client.batch_api, self._api_client.core_api
        try:
            batch.delete_namespaced_job(job, namespace, propagation_policy="Background", _request_timeout=CALL_SECONDS)
        except ApiException as error:
            if error.status != 404:
                raise
        pods = core.list_namespaced_pod(
            namespace, label_selector=f"job-name={job}", _request_timeout=CALL_SECONDS
        ).items
        left = []
        for pod in pods:
            if pod.metadata.deletion_timestamp is None:
                try:
                    core.delete_namespaced_pod(pod.metadata.name, namespace, _request_timeout=CALL_SECONDS)
                except ApiException as error:
                    if error.status != 404:
                        raise
            elif (datetime.now(UTC) - pod.metadata.deletion_timestamp).total_seconds() > LOST_SECONDS:
                continue
            if pod.status.phase not in ("Succeeded", "Failed"):
                left.append(str(pod.metadata.name))
        return left


def _name(error: Exception) -> str:
    return f"status {error.status}" if isinstance(error, ApiException) else type(error).__name__
