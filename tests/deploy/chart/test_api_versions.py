"""Every rendered object, and every Job that dagster-k8s makes, is valid in each supported version of Kubernetes."""

import copy
from functools import lru_cache
from typing import Any

import pytest
from kubernetes_validate import utils

from tests.deploy.chart.rendering import CASES, Document, case, one
from tests.deploy.chart.run_pods import all_jobs

OLDEST = (1, 30)
VERSIONS = [v for v in (".".join(name.split(".")[:2]) for name in utils.all_versions())
            if tuple(int(part) for part in v.split(".")) >= OLDEST]  # fmt: skip
KEDA = {
    # https://keda.sh/docs/2.18/reference/scaledobject-spec/: the fields that the chart uses.
    "spec": {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "cooldownPeriod", "fallback", "triggers"},
    "scaleTargetRef": {"name"},
    "fallback": {"failureThreshold", "replicas", "behavior"},
    "trigger": {"type", "metricType", "metadata"},
    "metadata": {"serverAddress", "query", "threshold", "activationThreshold", "ignoreNullValues"},
}


@pytest.fixture(autouse=True, scope="module")
def schemas_read_once() -> Any:
    original = utils.schema_contents
    utils.schema_contents = lru_cache(maxsize=None)(original)
    yield
    utils.schema_contents = original


def wrong(document: Document, version: str) -> str | None:
    if document["apiVersion"].startswith("keda.sh/"):
        return wrong_for_keda(document)
    try:
        utils.validate(document, version, strict=True)
    except utils.ValidationError as error:
        return f"{document['kind']} {document['metadata']['name']} {list(error.path)}: {error.message}"
    except utils.SchemaNotFoundError as error:
        return str(error.message)
    return None


def wrong_for_keda(document: Document) -> str | None:
    spec = document["spec"]
    found = {name: set(spec[name]) for name in ("scaleTargetRef", "fallback")} | {"spec": set(spec)}
    triggers = [
        *(("trigger", set(t)) for t in spec["triggers"]),
        *(("metadata", set(t["metadata"])) for t in spec["triggers"]),
    ]
    for name, keys in [*found.items(), *triggers]:
        if unknown := keys - KEDA[name]:
            return f"ScaledObject {name} has unknown fields {sorted(unknown)}"
    strings = all(isinstance(value, str) for t in spec["triggers"] for value in t["metadata"].values())
    return None if strings else "metadata of triggers are strings"


def test_the_newest_and_oldest_supported_versions_are_checked() -> None:
    assert VERSIONS[0] == "1.30"
    assert len(VERSIONS) >= 8


@pytest.mark.parametrize("name", CASES)
def test_every_object_has_only_fields_of_the_api(name: str) -> None:
    documents = case(name)
    documents += all_jobs(documents)
    assert len(documents) > 25
    assert [problem for version in VERSIONS for document in documents if (problem := wrong(document, version))] == []


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("Deployment", "penstock-gateway", ("spec", "replcas"), 2),
        ("Deployment", "penstock-gateway", ("spec", "template", "spec", "automountServiceAccounttoken"), False),
        ("Deployment", "penstock-gateway", ("spec", "template", "spec", "containers", 0, "readinesProbe"), {}),
        ("Deployment", "penstock-gateway", ("spec", "template", "spec", "terminationGracePeriodSeconds"), "long"),
        ("NetworkPolicy", "penstock-gateway", ("spec", "policyType"), []),
        ("HorizontalPodAutoscaler", "penstock-gateway", ("spec", "minReplica"), 1),
        ("PodDisruptionBudget", "penstock-gateway", ("spec", "maxUnavailabe"), 1),
        ("ScaledObject", "penstock-room", ("spec", "minReplicas"), 1),
    ],
)
def test_a_field_with_a_typo_or_another_type_is_found(kind: str, name: str, path: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(one(case("everything by KEDA"), kind, name))
    assert wrong(document, VERSIONS[0]) is None
    place: Any = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert all(wrong(document, version) for version in VERSIONS)
