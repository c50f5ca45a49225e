"""Sessions of the Kubernetes backend in real pods, by the rights that the chart gives to runs.

The node has no handler `runsc`, so pods run in its ordinary runtime: that a pod asks for gVisor is shown by its spec
(`test_chart.py`), and what gVisor keeps in by `runsc` itself (`tests/conformance/test_sandbox.py`).
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.conformance import CHECKS, Bench
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.manifests import namespace_objects
from sandbox.kubernetes.options import PodOptions
from sandbox.protocol import Environment, Limits
from sandbox.python import PythonRuntime, base_interpreter

from .conftest import SANDBOX_IMAGE, SANDBOXES

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORKERS = "workers"
NOT_HERE: dict[str, str] = {
    "processes_are_limited": "a limit of the kernel that ends no command, so that none is reported: docs/sandbox.md",
    "a_single_file_is_limited": "a watch, for commands that go on after the kernel has refused to write",
    "deleted_but_open_files_count": "quotas of the file system: the kubelet adds up files that have a name",
}
"""Checks that are not run here, and what they need."""


@pytest.fixture(scope="module")
def config(cluster: Any) -> Iterator[Path]:
    """A kubeconfig of the account that runs have, with its rights alone, for namespaces with and without a network."""
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": WORKERS}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "run", "namespace": WORKERS}},
        *namespace_objects(SANDBOXES, WORKERS, "run"),
        *namespace_objects("connected", WORKERS, "run"),
    ]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", given=given)
    token = cluster.kubectl("create", "token", "run", "--namespace", WORKERS, "--duration=2h").stdout.strip()
    known = json.loads(cluster.config.read_text())
    known["users"][0]["user"] = {"token": token}
    file = cluster.plan.data / "run-kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(known))
    yield file
    cluster.kubectl("delete", "namespace", WORKERS, SANDBOXES, "connected", "--wait", "--timeout=240s", seconds=300)


def sandbox_in(namespace: str, config: Path) -> KubernetesSandbox:
    options = PodOptions(
        namespace, SANDBOX_IMAGE, Path("/nowhere"), runtime_class="", cpus=0.25, start_seconds=180.0, config=config
    )
    return KubernetesSandbox(options)


@pytest.fixture
def sandbox(config: Path) -> KubernetesSandbox:
    return sandbox_in(SANDBOXES, config)


def test_the_backend_finds_that_the_cluster_keeps_its_promises(sandbox: KubernetesSandbox) -> None:
    assert sandbox.available() is None


def test_a_network_that_enforces_no_policy_is_found(config: Path) -> None:
    """The policy is there, and the pods of this namespace have a network all the same."""
    problem = sandbox_in("connected", config).available()
    assert problem is not None and "it can connect to the API server" in problem


def test_the_account_may_do_nothing_else(cluster: Any, config: Path) -> None:
    asked = {
        ("create", "pods", SANDBOXES): "yes",
        ("create", "pods/exec", SANDBOXES): "yes",
        ("get", "secrets", SANDBOXES): "no",
        ("create", "pods", WORKERS): "no",
        ("create", "pods", "default"): "no",
        ("update", "networkpolicies", SANDBOXES): "no",
    }
    found = {
        key: cluster.kubectl(
            f"--kubeconfig={config}", "auth", "can-i", key[0], key[1], "--namespace", key[2], check=False
        ).stdout.strip()
        for key in asked
    }
    assert found == asked


def test_a_session_that_ends_leaves_no_pod(cluster: Any, sandbox: KubernetesSandbox, tmp_path: Path) -> None:
    with sandbox.open(Environment(tmp_path), Limits()) as session:
        assert session.run(["sh", "-c", "echo $((6 * 7)); hostname"]).stdout == b"42\nsandbox\n"
        names = [pod["metadata"]["name"] for pod in cluster.get("pods", "--namespace", SANDBOXES)["items"]]
        assert names
    cluster.kubectl("wait", "--for=delete", *(f"pod/{n}" for n in names), "-n", SANDBOXES, "--timeout=60s")


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check.__name__ not in NOT_HERE], ids=lambda check: check.__name__
)
def test_the_backend_gives_the_guarantee(
    sandbox: KubernetesSandbox, check: Callable[[Bench], None], tmp_path: Path
) -> None:
    check(Bench(sandbox, tmp_path, PythonRuntime((), str(base_interpreter()), {})))


def test_the_checks_that_are_left_out_exist() -> None:
    assert set(NOT_HERE) <= {check.__name__ for check in CHECKS}
