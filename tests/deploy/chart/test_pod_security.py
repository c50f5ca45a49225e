"""Every pod meets the restricted standard: also init containers, hooks, and the Jobs that dagster-k8s makes."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.kubernetes.manifests import session_pod
from sandbox.kubernetes.options import PodOptions
from sandbox.protocol import Limits
from tests.deploy.chart.pod_security import RULES, violations
from tests.deploy.chart.rendering import CASES, Pod, case, pods
from tests.deploy.chart.run_pods import all_jobs


def every_pod(name: str) -> list[Pod]:
    documents = case(name)
    return [*pods(documents), *pods(all_jobs(documents))]


@pytest.mark.parametrize("name", CASES)
def test_every_pod_is_restricted(name: str) -> None:
    assert {pod.where: found for pod in every_pod(name) if (found := violations(pod))} == {}


def test_hooks_init_containers_runs_and_steps_are_among_them() -> None:
    found = every_pod("everything")
    assert any(pod.hook for pod in found)
    assert any(pod.spec.get("initContainers") for pod in found)
    names = {pod.where for pod in found}
    assert {
        "Job dagster-run-sweep",
        "Job dagster-run-resolve-task",
        "Job dagster-run-refresh-context",
        "Job dagster-step-context-index",
    } <= names
    components = {pod.component for pod in found}
    assert components == {"gateway", "webserver", "daemon", "code", "relay", "run", "migrate", "room", "model-proxy",
                          "model"}  # fmt: skip


def first(pod: Pod) -> dict[str, Any]:
    container: dict[str, Any] = pod.containers[0]
    return container


def context(pod: Pod) -> dict[str, Any]:
    found: dict[str, Any] = first(pod)["securityContext"]
    return found


CHANGES: dict[str, Callable[[Pod], object]] = {
    "no_host_namespaces": lambda pod: pod.spec.update(hostPID=True),
    "nothing_privileged": lambda pod: context(pod).update(privileged=True),
    "no_host_ports": lambda pod: first(pod).update(ports=[{"containerPort": 1, "hostPort": 1}]),
    "known_volumes": lambda pod: pod.spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
    "no_loosened_profiles": lambda pod: context(pod).update(procMount="Unmasked"),
    "no_hosts_in_probes": lambda pod: first(pod).update(livenessProbe={"httpGet": {"host": "127.0.0.1", "port": 1}}),
    "privileges_cannot_grow": lambda pod: context(pod).pop("allowPrivilegeEscalation"),
    "capabilities_are_dropped": lambda pod: context(pod).update(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}),
    "nobody_is_root": lambda pod: context(pod).update(runAsUser=0),
    "the_runtimes_seccomp_profile": lambda pod: context(pod).update(seccompProfile={"type": "Unconfined"}),
    "the_image_cannot_be_written": lambda pod: context(pod).update(readOnlyRootFilesystem=False),
    "each_container_has_limits": lambda pod: first(pod)["resources"]["limits"].pop("memory"),
    "tokens_only_for_those_who_use_them": lambda pod: pod.spec.pop("automountServiceAccountToken"),
    "no_service_links": lambda pod: pod.spec.pop("enableServiceLinks"),
    "images_are_pinned": lambda pod: first(pod).update(image="registry:5000/penstock"),
    "mounts_name_volumes": lambda pod: pod.spec["volumes"].pop(0),
    "no_secret_in_the_environment": lambda pod: (
        first(pod)
        .setdefault("env", [])
        .append({"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}})
    ),
    "volumes_in_the_pod_have_a_size": lambda pod: pod.spec["volumes"].append({"name": "more", "emptyDir": {}}),
}


def test_each_rule_has_a_change_that_breaks_it() -> None:
    assert CHANGES.keys() == RULES.keys()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "where", ["Deployment penstock-gateway", "Deployment penstock-model-coder-1", "Job penstock-migrate",
              "Job dagster-run-resolve-task", "Job dagster-step-context-index"]
)  # fmt: skip
def test_a_pod_that_breaks_one_rule_is_found(where: str, name: str) -> None:
    pod = next(pod for pod in every_pod("everything") if pod.where == where)
    changed = replace(pod, spec=copy.deepcopy(pod.spec))
    CHANGES[name](changed)
    assert list(violations(changed)) == [name]


def test_a_service_account_token_in_a_gateway_is_found() -> None:
    pod = next(pod for pod in every_pod("default") if pod.component == "gateway")
    pod.spec["automountServiceAccountToken"] = True
    assert list(violations(pod)) == ["tokens_only_for_those_who_use_them"]


def test_the_pods_of_sandboxes_meet_it_too() -> None:
    options = PodOptions("penstock-sandboxes", "example.org/image@sha256:abc", Path("/cache"))
    made = session_pod("s", options, Limits(), 12345, {}, {})
    assert violations(Pod("session", "penstock-sandboxes", made["metadata"]["labels"], made["spec"])) == {}
