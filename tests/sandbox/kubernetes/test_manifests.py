"""The manifests: each control of the Pod Security Standard "restricted", what isolates a session, and the limits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.kubernetes.manifests import label_value, namespace_objects, session_pod
from sandbox.kubernetes.mounts import ClaimMount
from sandbox.kubernetes.options import PodOptions
from sandbox.protocol import Limits

OPTIONS = PodOptions("sandboxes", "example.org/image@sha256:abc", Path("/cache"), claim="cache")
LIMITS = Limits(memory_bytes=1 << 30, disk_bytes=1 << 30)
MOUNTS = (ClaimMount("environments/abc/python", "/opt/penstock/environment"),)


def made(options: PodOptions = OPTIONS, limits: Limits = LIMITS) -> dict[str, Any]:
    return session_pod(
        "penstock-1", options, limits, 12345, {"penstock/session": "1"}, {"penstock/expires": "9"}, MOUNTS
    )


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    specification = pod["spec"]
    return [*specification["containers"], *specification.get("initContainers", ()),
            *specification.get("ephemeralContainers", ())]  # fmt: skip


# https://kubernetes.io/docs/concepts/security/pod-security-standards/: first the controls of "baseline"


def test_no_host_namespace_is_shared() -> None:
    assert not any(made()["spec"].get(name) for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"))


def test_nothing_is_privileged_and_no_capability_is_added() -> None:
    for container in containers(made()):
        assert container["securityContext"]["privileged"] is False
        assert "add" not in container["securityContext"]["capabilities"]


def test_no_path_or_port_of_the_host_is_used() -> None:
    assert not any("hostPath" in volume for volume in made()["spec"]["volumes"])
    assert not any(container.get("ports") for container in containers(made()))


def test_no_profile_sysctl_or_proc_mount_is_loosened() -> None:
    pod = made()
    assert not pod["spec"]["securityContext"].keys() & {
        "sysctls",
        "seLinuxOptions",
        "appArmorProfile",
        "windowsOptions",
    }
    for container in containers(pod):
        assert not container["securityContext"].keys() & {"procMount", "seLinuxOptions", "appArmorProfile"}
        assert not container.keys() & {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"}


# and those of "restricted"


def test_only_the_allowed_kinds_of_volume_are_used() -> None:
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    kinds = {kind for volume in made()["spec"]["volumes"] for kind in volume if kind != "name"}
    assert kinds == {"emptyDir", "persistentVolumeClaim"} <= allowed


def test_privileges_cannot_grow_and_all_capabilities_are_dropped() -> None:
    for container in containers(made()):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_nothing_runs_as_root() -> None:
    context = made()["spec"]["securityContext"]
    assert context["runAsNonRoot"] is True and context["runAsUser"] == context["runAsGroup"] == 12345
    for container in containers(made()):
        assert not container["securityContext"].keys() & {"runAsUser", "runAsNonRoot"}


def test_the_runtimes_seccomp_profile_is_used() -> None:
    assert made()["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("seccompProfile" in container["securityContext"] for container in containers(made()))


# what isolates a session beyond the standard


def test_a_pod_gets_no_token_no_variables_and_no_names() -> None:
    specification = made()["spec"]
    assert specification["automountServiceAccountToken"] is False
    assert specification["enableServiceLinks"] is False
    assert specification["dnsPolicy"] == "None" and specification["dnsConfig"] == {"nameservers": ["127.0.0.1"]}
    for container in containers(made()):
        assert not container.keys() & {"env", "envFrom"}


def test_gvisor_runs_the_pod_unless_another_class_is_set() -> None:
    assert made()["spec"]["runtimeClassName"] == "gvisor"
    assert "runtimeClassName" not in made(replace(OPTIONS, runtime_class=""))["spec"]


def test_a_user_namespace_is_only_asked_for_where_it_is_set() -> None:
    assert "hostUsers" not in made()["spec"]
    assert made(replace(OPTIONS, user_namespace=True))["spec"]["hostUsers"] is False


def test_only_its_own_volumes_can_be_written_to() -> None:
    container = made()["spec"]["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    writable = {place["mountPath"] for place in container["volumeMounts"] if not place.get("readOnly")}
    assert writable == {"/workspace", "/tmp", "/dev/shm"}
    claim = next(volume for volume in made()["spec"]["volumes"] if volume["name"] == "cache")
    assert claim["persistentVolumeClaim"] == {"claimName": "cache", "readOnly": True}


def test_the_environment_is_mounted_from_the_claim() -> None:
    places = made()["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "cache", "mountPath": "/opt/penstock/environment", "subPath": "environments/abc/python",
            "readOnly": True} in places  # fmt: skip


def test_the_limits_of_a_session_become_requests_and_limits() -> None:
    resources = made()["spec"]["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"] == {
        "cpu": "1000m",
        "memory": str((1 << 30) + (128 << 20)),
        "ephemeral-storage": str((1 << 30) + (128 << 20)),
    }
    sizes = {volume["name"]: volume["emptyDir"] for volume in made()["spec"]["volumes"] if "emptyDir" in volume}
    assert sizes["workspace"] == {"sizeLimit": str((1 << 30) + (64 << 20))}
    assert sizes["tmp"] == sizes["shm"] == {"medium": "Memory", "sizeLimit": str(1 << 29)}


def test_kubernetes_ends_a_pod_by_itself() -> None:
    specification = made(replace(OPTIONS, session_seconds=99))["spec"]
    assert specification["activeDeadlineSeconds"] == 99
    assert specification["terminationGracePeriodSeconds"] == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [("penstock/a b", "penstock-a-b"), ("-x-", "x"), ("é" * 70, ""), ("a" * 70, "a" * 63), ("../..", "")],
)
def test_labels_are_made_valid(text: str, value: str) -> None:
    assert label_value(text) == value


# the namespace


def objects(kind: str) -> list[dict[str, Any]]:
    return [one for one in namespace_objects("sandboxes", "penstock", "worker") if one["kind"] == kind]


def test_the_namespace_enforces_the_standard_and_denies_all_traffic() -> None:
    labels = objects("Namespace")[0]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    policy = objects("NetworkPolicy")[0]["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_penstock_may_do_no_more_than_it_does() -> None:
    granted = {
        (resource, verb)
        for rule in objects("Role")[0]["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    pods = {("pods", verb) for verb in ("create", "get", "list", "delete")}
    assert granted == pods | {("pods/exec", "create"), ("pods/exec", "get"), ("networkpolicies", "list")}


def test_the_file_for_administrators_says_the_same() -> None:
    file = Path(__file__).parents[3] / "deploy/kubernetes/sandboxes.yaml"
    written = list(yaml.safe_load_all(file.read_text()))
    assert written == namespace_objects("penstock-sandboxes", "penstock", "penstock")


# the published API


def unknown_fields(value: Any, kind: str, at: str) -> list[str]:
    """Fields that the class `kind` of the official client, which is generated from the API's OpenAPI description, does
    not have, and values of another type."""
    from kubernetes import client

    if kind.startswith("list"):
        return [one for item in value for one in unknown_fields(item, kind[5:-1], f"{at}[]")]
    if kind.startswith("dict"):
        item = kind[5:-1].partition(", ")[2]
        return [one for key, inner in value.items() for one in unknown_fields(inner, item, f"{at}.{key}")]
    simple = {"str": str, "bool": bool, "int": int, "object": object, "float": (int, float)}
    if kind in simple:
        return [] if isinstance(value, simple[kind]) else [f"{at} is not {kind}"]
    described = getattr(client, kind)
    names = {name: described.openapi_types[attribute] for attribute, name in described.attribute_map.items()}
    found = [f"{at}.{name}" for name in value if name not in names]
    return found + [
        one
        for name, inner in value.items()
        if name in names
        for one in unknown_fields(inner, names[name], f"{at}.{name}")
    ]


@pytest.mark.parametrize("options", [OPTIONS, replace(OPTIONS, runtime_class="", user_namespace=True)])
def test_the_pod_has_only_fields_of_the_published_api(options: PodOptions) -> None:
    assert unknown_fields(made(options), "V1Pod", "pod") == []
    wrong = made(options)
    wrong["spec"]["automountServiceAccountTokens"] = False
    wrong["spec"]["containers"][0]["securityContext"]["privileged"] = "no"
    assert len(unknown_fields(wrong, "V1Pod", "pod")) == 2


def test_the_objects_of_the_namespace_have_only_fields_of_the_published_api() -> None:
    kinds = {"Namespace": "V1Namespace", "NetworkPolicy": "V1NetworkPolicy", "ResourceQuota": "V1ResourceQuota",
             "ServiceAccount": "V1ServiceAccount", "Role": "V1Role", "RoleBinding": "V1RoleBinding"}  # fmt: skip
    for one in namespace_objects("a", "b", "c"):
        assert unknown_fields(one, kinds[one["kind"]], one["kind"]) == []
