"""The whole rendered chart is accepted by a real API server: no unknown field, no unknown kind, and every pod admitted
by the restricted Pod Security Standard, also those that dagster-k8s makes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.kubernetes.manifests import session_pod
from sandbox.kubernetes.options import PodOptions
from sandbox.protocol import Limits
from tests.deploy.chart.rendering import CASES, CHART, Document, case, pods, render
from tests.deploy.chart.run_pods import all_jobs

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LABELS = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "penstock", "labels": LABELS}}
APPLY = ("apply", "--server-side", "--validate=strict", "--filename", "-")
OF_NO_NAMESPACE = ("Namespace", "PriorityClass", "RuntimeClass")
OPERATORS = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "runs"}, "value": 10}
"""The class that everything.yaml refers to, as to one that an operator has made."""


def as_text(documents: list[Document]) -> str:
    """As one list. Objects without a namespace of their own are put into the release's."""
    placed = [
        d if d["kind"] in OF_NO_NAMESPACE else {**d, "metadata": {"namespace": "penstock", **d["metadata"]}}
        for d in documents
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": placed})


def dry_run(cluster: Any, documents: list[Document]) -> Any:
    return cluster.kubectl(*APPLY, "--dry-run=server", given=as_text(documents), check=False)


@pytest.fixture(scope="module")
def closed(cluster: Any) -> Iterator[Any]:
    """The cluster with a node that starts no pods, and with KEDA's kinds."""
    keda = (cluster.plan.programs / "keda.sh_scaledobjects.yaml").read_text()
    cluster.kubectl("apply", "--server-side", "--filename", "-", given=keda)
    cluster.kubectl("wait", "--for=condition=Established", "crd/scaledobjects.keda.sh", "--timeout=60s")
    cluster.kubectl("cordon", "penstock")
    yield cluster
    cluster.kubectl("uncordon", "penstock")
    cluster.kubectl("delete", "crd", "scaledobjects.keda.sh", "--wait")


@pytest.fixture
def namespace(closed: Any) -> Iterator[Any]:
    """The cluster with a namespace `penstock` that enforces the restricted standard."""
    closed.kubectl(*APPLY, given=as_text([NAMESPACE, OPERATORS]))
    closed.kubectl("wait", "--for=create", "serviceaccount/default", "--namespace=penstock", "--timeout=60s")
    yield closed
    gone = ("namespace/penstock", "namespace/penstock-sandboxes", "priorityclass/penstock-room", "runtimeclass/gvisor")
    closed.kubectl("delete", "--ignore-not-found", "--wait", "--timeout=240s", *gone, seconds=300)


def pod_documents(documents: list[Document]) -> list[Document]:
    """Each pod that an object makes, as an object of its own."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-{number}", "namespace": pod.namespace, "labels": dict(pod.labels)},
            "spec": {"restartPolicy": "Always", **pod.spec},
        }
        for number, pod in enumerate(pods(documents))
    ]


@pytest.mark.parametrize("name", CASES)
def test_the_chart_is_applied_and_its_pods_are_admitted(namespace: Any, name: str) -> None:
    documents = case(name)
    done = namespace.kubectl(*APPLY, given=as_text(documents), check=False)
    assert done.returncode == 0, done.stderr
    assert "violate" not in done.stderr and "unknown" not in done.stderr, done.stderr
    assert len(done.stdout.splitlines()) == len(documents)
    again = dry_run(namespace, documents)
    assert again.returncode == 0, again.stderr
    made = pod_documents(documents) + pod_documents(all_jobs(documents))
    done = dry_run(namespace, made)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(made)


def test_the_pod_of_a_session_is_admitted_with_gvisors_runtime_class(namespace: Any) -> None:
    """By its spec alone: the node has no handler `runsc`, so what this pod would run in is not shown here."""
    documents = case("everything")
    namespace.kubectl(*APPLY, given=as_text(documents))
    options = PodOptions("penstock-sandboxes", "registry.example.org/sandbox:1", Path("/nowhere"))
    pod = session_pod("session", options, Limits(), 10_000, {}, {})
    done = dry_run(namespace, [pod])
    assert done.returncode == 0, done.stderr
    shown = namespace.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", given=json.dumps(pod))
    admitted = json.loads(shown.stdout)["spec"]
    runtime = next(one for one in documents if one["kind"] == "RuntimeClass")
    assert admitted["runtimeClassName"] == "gvisor"
    assert admitted["nodeSelector"].items() >= runtime["scheduling"]["nodeSelector"].items()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("_dagster-pod.tpl", "terminationGracePeriodSeconds:", "terminationGracePeriodSecond:"),
        ("network-policies.yaml", "policyTypes:", "policyType:"),
        ("gateway.yaml", "maxUnavailable:", "maxUnavailabel:"),
        ("storage.yaml", "kind: PersistentVolumeClaim", "kind: PersistentVolumeClaims"),
    ],
)
def test_a_typing_error_is_refused(namespace: Any, tmp_path: Path, file: str, old: str, new: str) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    template = chart / "templates" / file
    text = template.read_text()
    assert old in text
    template.write_text(text.replace(old, new))
    done = dry_run(namespace, render(CASES["default"], chart=chart))
    assert done.returncode != 0
    assert new.split()[-1].rstrip(":") in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"),
        ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation"),
        (
            "allowPrivilegeEscalation: false\nprivileged: false",
            "allowPrivilegeEscalation: true\nprivileged: true",
            "privileged",
        ),
        ("type: RuntimeDefault", "type: Unconfined", "seccompProfile"),
        ("- ALL", "- NET_RAW", "capabilities"),
    ],
)
def test_a_looser_pod_is_not_admitted(namespace: Any, tmp_path: Path, old: str, new: str, said: str) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    template = chart / "templates" / "_pods.tpl"
    text = template.read_text()
    assert old in text
    template.write_text(text.replace(old, new))
    documents = render(CASES["default"], chart=chart)
    namespace.kubectl(*APPLY, given=as_text([d for d in documents if d["kind"] in ("Namespace", "ServiceAccount")]))
    for pod in pod_documents(documents) + pod_documents(all_jobs(documents)):
        done = dry_run(namespace, [pod])
        assert done.returncode != 0
        assert "violates PodSecurity" in done.stderr and said in done.stderr, done.stderr


def test_the_instance_file_is_what_the_pods_are_given(namespace: Any) -> None:
    """A ConfigMap read back has the rendered file, byte for byte."""
    documents = case("default")
    namespace.kubectl(*APPLY, given=as_text(documents))
    found = namespace.get("configmap", "penstock-dagster", "--namespace", "penstock")["data"]
    wanted = next(d for d in documents if d["kind"] == "ConfigMap" and d["metadata"]["name"] == "penstock-dagster")
    assert found == wanted["data"]
    assert yaml.safe_load(found["dagster.yaml"])["run_launcher"]["class"] == "KubernetesRunLauncher"
