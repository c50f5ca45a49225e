"""The Jobs that dagster-k8s makes for runs and steps, from a rendered dagster.yaml. Only the API server is left out."""

import json
from typing import Any
from unittest import mock

import yaml
from dagster import DagsterRun
from dagster._config import process_config, resolve_to_config_type
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from kubernetes.client import ApiClient

from dagster_project.kubernetes import launcher
from dagster_project.kubernetes.resources import JobPods
from tests.deploy.chart.rendering import Document, one


def run_launcher(documents: list[Document]) -> launcher.KubernetesRunLauncher:
    """As Dagster makes it from the instance file, whose configuration it checks."""
    config = yaml.safe_load(one(documents, "ConfigMap", "penstock-dagster")["data"]["dagster.yaml"])["run_launcher"]
    assert (config["module"], config["class"]) == (launcher.__name__, "KubernetesRunLauncher")
    checked = process_config(resolve_to_config_type(launcher.KubernetesRunLauncher.config_type()), config["config"])
    assert checked.success, checked.errors
    with mock.patch("dagster_k8s.launcher.load_kubernetes_config"):
        return launcher.KubernetesRunLauncher.from_config_value(None, checked.value)


def run_job(documents: list[Document], job: str = "resolve_task", **tags: str) -> Document:
    """The Job of a run of `job`, with the tags that its definition has by the rendered file of jobs."""
    pods = jobs(documents).get(job)
    given = {"dagster-k8s/config": json.dumps(pods.config()), **tags} if pods else tags
    made = run_launcher(documents)
    context = made.get_container_context_for_run(DagsterRun(job, tags=given))
    return _job(context, made, "run_worker", f"dagster-run-{job.replace('_', '-')}")


def step_jobs(documents: list[Document]) -> list[Document]:
    """The Jobs of all steps that run as pods of their own, as `K8sStepHandler` merges their configuration."""
    made = run_launcher(documents)
    found = []
    for job, pods in jobs(documents).items():
        for step, pod in pods.steps.items():
            context = K8sContainerContext.create_for_run(DagsterRun(job), made, include_run_tags=False)
            config = UserDefinedDagsterK8sConfig.from_dict(pod.config())
            context = context.merge(K8sContainerContext(run_k8s_config=config))
            found.append(_job(context, made, "step_worker", f"dagster-step-{step.replace('_', '-')}"))
    return found


def jobs(documents: list[Document]) -> dict[str, JobPods]:
    text = one(documents, "ConfigMap", "penstock-dagster")["data"]["jobs.yaml"]
    return {name: JobPods.model_validate(value) for name, value in (yaml.safe_load(text) or {}).items()}


def _job(context: K8sContainerContext, made: Any, component: str, name: str) -> Document:
    job = construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(job_image=None, run_launcher=made),
        args=["dagster", "api", "execute_run"],
        job_name=name,
        pod_name=name,
        component=component,
        user_defined_k8s_config=context.run_k8s_config,
        labels={"dagster/run-id": "1"},
        env_vars=[],
    )
    document: Document = ApiClient().sanitize_for_serialization(job)
    document["metadata"]["namespace"] = context.namespace
    return document


def all_jobs(documents: list[Document]) -> list[Document]:
    return [run_job(documents, "sweep"), *(run_job(documents, name) for name in jobs(documents)), *step_jobs(documents)]
