"""What the pods of single jobs and steps get on Kubernetes, in place of what all runs get.

A YAML file (setting `kubernetes_jobs`), which the chart writes from its values `jobs`, names jobs, and steps that run
as pods of their own. Only resources and nodes can be given: nothing here can loosen a pod's isolation. Without the
file, every job runs in one process.
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from dagster import ExecutorDefinition, in_process_executor
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.settings import SettingsError, load_settings

VARIABLE = "PENSTOCK_KUBERNETES_JOBS"
TAG = "dagster-k8s/config"
ONE_PROCESS = ("resolve_task", "run_evals")
"""Jobs whose steps share what one process holds, such as a lease or an open bench."""
JOBS = ("resolve_task", "refresh_context", "index_vectors", "run_evals", "migrate_model")
"""Jobs that can be named."""
_MOST_BYTES = 256 << 10

Quantities = dict[str, str | int | float]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resources(_Table):
    requests: Quantities = Field(default_factory=dict)
    limits: Quantities


class Pod(_Table):
    resources: Resources | None = None
    nodeSelector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[dict[str, str | int]] = Field(default_factory=list)

    def config(self) -> dict[str, Any]:
        """As dagster-k8s reads it: in snake case. What is given replaces what all runs have."""
        container = {"resources": self.resources.model_dump(exclude_defaults=True)} if self.resources else {}
        pod: dict[str, Any] = {}
        if self.nodeSelector:
            pod["node_selector"] = self.nodeSelector
        if self.tolerations:
            pod["tolerations"] = [
                {"toleration_seconds" if name == "tolerationSeconds" else name: value for name, value in one.items()}
                for one in self.tolerations
            ]
        return {"container_config": container, "pod_spec_config": pod, "merge_behavior": "SHALLOW"}


class JobPods(Pod):
    steps: dict[str, Pod] = Field(default_factory=dict)


def read_jobs(file: Path) -> dict[str, JobPods]:
    """Raises `SettingsError`, which names the file, the job and the field."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{VARIABLE}: {file} cannot be read ({error.strerror})") from error
    if len(raw) > _MOST_BYTES:
        raise SettingsError(f"{VARIABLE}: {file} has more than {_MOST_BYTES} bytes")
    try:
        parsed = yaml.safe_load(raw)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{VARIABLE}: {file} is not YAML: {str(error).splitlines()[0]}") from error
    if parsed is None:
        return {}
    if not isinstance(parsed, Mapping):
        raise SettingsError(f"{VARIABLE}: {file} is not a mapping of jobs")
    found = {}
    for name, value in parsed.items():
        if name not in JOBS:
            raise SettingsError(f"{VARIABLE}: {file} names the job {name!r}; known are {', '.join(JOBS)}")
        try:
            found[name] = JobPods.model_validate(value or {})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in (name, *first["loc"]))
            raise SettingsError(f"{VARIABLE}: {file}: {place}: {first['msg']}") from error
        if found[name].steps and name in ONE_PROCESS:
            raise SettingsError(f"{VARIABLE}: {file}: {name}.steps: these steps share one process")
    return found


@lru_cache(maxsize=1)
def _jobs() -> Mapping[str, JobPods]:
    if not os.environ.get(VARIABLE):  # so that definitions read no settings elsewhere
        return {}
    file = load_settings().kubernetes_jobs
    return read_jobs(file) if file else {}


def run_tags(job: str) -> dict[str, Any]:
    """Tags of a job that give its run's pod what the file says; none without."""
    found = _jobs().get(job)
    config = found.config() if found else {}
    if not (config.get("container_config") or config.get("pod_spec_config")):
        return {}
    return {TAG: config}


def executor(job: str) -> ExecutorDefinition:
    """Where a job's steps run: pods of their own if the file names any, else the run's process."""
    found = _jobs().get(job)
    return step_pods(found.steps) if found and found.steps else in_process_executor


def step_pods(steps: Mapping[str, Pod]) -> ExecutorDefinition:
    """Each step as a Job of its own, which ends with the run's pod."""
    from dagster_k8s import k8s_job_executor

    given = {name: pod.config() for name, pod in steps.items()}
    return k8s_job_executor.configured(
        {"per_step_k8s_config": given, "enable_owner_references": True, "retries": {"disabled": {}}}
    )
