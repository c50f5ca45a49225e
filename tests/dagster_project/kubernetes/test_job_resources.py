"""The file of jobs and steps: what it may say, and what Dagster makes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import in_process_executor
from dagster_k8s.job import get_user_defined_k8s_config

from core.settings import SettingsError
from dagster_project.kubernetes import resources
from dagster_project.kubernetes.resources import Pod, read_jobs

GPU = """
refresh_context:
  resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: "2", memory: 2Gi}}
  steps:
    context_index:
      resources: {limits: {cpu: "4", memory: 8Gi, nvidia.com/gpu: 1}}
      nodeSelector: {gpu: "true"}
      tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule, tolerationSeconds: 5}]
resolve_task:
  resources: {limits: {cpu: "4", memory: 4Gi}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "jobs.yaml"
    path.write_text(GPU)
    monkeypatch.setenv(resources.VARIABLE, str(path))
    resources._jobs.cache_clear()
    yield path
    resources._jobs.cache_clear()


def test_without_a_file_jobs_are_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(resources.VARIABLE, raising=False)
    resources._jobs.cache_clear()
    assert resources.run_tags("refresh_context") == {}
    assert resources.executor("refresh_context") is in_process_executor


def test_a_jobs_resources_are_tags_that_dagster_k8s_reads(file: Path) -> None:
    import json

    tags = resources.run_tags("resolve_task")
    found = get_user_defined_k8s_config({name: json.dumps(value) for name, value in tags.items()})
    assert found.container_config == {"resources": {"limits": {"cpu": "4", "memory": "4Gi"}}}
    assert found.pod_spec_config == {}


def test_a_job_with_steps_runs_them_as_pods(file: Path) -> None:
    assert resources.executor("refresh_context").name == "k8s"
    assert resources.executor("resolve_task") is in_process_executor
    assert resources.run_tags("index_vectors") == {}


def test_a_step_gets_its_card_in_snake_case(file: Path) -> None:
    config = read_jobs(file)["refresh_context"].steps["context_index"].config()
    assert config["container_config"]["resources"] == {"limits": {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": 1}}
    assert config["pod_spec_config"] == {
        "node_selector": {"gpu": "true"},
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule", "toleration_seconds": 5}
        ],
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nightly: {}", "names the job 'nightly'; known are resolve_task"),
        ("resolve_task: {steps: {plan: {}}}", "resolve_task.steps: these steps share one process"),
        ("resolve_task: {securityContext: {}}", "resolve_task.securityContext: Extra inputs"),
        ("refresh_context: {resources: {requests: {cpu: 1}}}", "refresh_context.resources.limits: Field required"),
        ("- a", "is not a mapping"),
        ("{", "is not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        read_jobs(path)
    assert said in str(refused.value) and str(path) in str(refused.value)


def test_a_missing_or_endless_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_jobs(tmp_path / "none.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (300 << 10))
    with pytest.raises(SettingsError, match="more than"):
        read_jobs(tmp_path / "large.yaml")


def test_nothing_can_loosen_a_pod() -> None:
    assert set(Pod.model_fields) == {"resources", "nodeSelector", "tolerations"}


def test_elsewhere_definitions_import_nothing_of_kubernetes() -> None:
    import subprocess
    import sys

    script = "import sys, dagster_project.definitions; print({'kubernetes', 'dagster_k8s'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "set()", done.stderr
