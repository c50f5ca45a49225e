"""The Kubernetes objects of sandboxes, as plain data: the pod of a session, and what its namespace needs once.

Pure functions. The pod meets the profile "restricted" of the Pod Security Standards,
https://kubernetes.io/docs/concepts/security/pod-security-standards/, and the namespace enforces it.
"""

import re
from collections.abc import Mapping
from typing import Any

from sandbox.protocol import WORKSPACE, Limits

from .mounts import ClaimMount
from .options import PodOptions
from .scripts import MAIN

CONTAINER = "sandbox"
SELECTOR = "app.kubernetes.io/name=penstock-sandbox"
OWNER_LABEL = "penstock/owner"
SESSION_LABEL = "penstock/session"
PROCESS_ANNOTATION = "penstock/process"
EXPIRES_ANNOTATION = "penstock/expires"

_GVISOR_OVERHEAD = 128 << 20
_OVERHEAD = 32 << 20
"""Memory of the first process, of the scripts around a command, and of gVisor's kernel, added to the limit."""
_DISK_OVERHEAD = 64 << 20
"""So that a command's excess is measured, and reported as such, before Kubernetes evicts the pod for it."""
_STANDARD = "restricted"


def label_value(text: str) -> str:
    """`text` as the value of a label: at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at the
    ends."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:63].strip("-_.")


def session_pod(
    name: str,
    options: PodOptions,
    limits: Limits,
    user: int,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    mounts: tuple[ClaimMount, ...] = (),
) -> dict[str, Any]:
    """The pod of one session, whose processes run as the user and group `user`."""
    memory = limits.memory_bytes + (_GVISOR_OVERHEAD if options.runtime_class else _OVERHEAD)
    temporary = max(limits.memory_bytes // 2, 1 << 20)
    resources = {
        "cpu": f"{round(options.cpus * 1000)}m",
        "memory": str(memory),
        "ephemeral-storage": str(limits.disk_bytes + 2 * _DISK_OVERHEAD),
    }
    volumes: list[dict[str, Any]] = [
        {"name": "workspace", "emptyDir": {"sizeLimit": str(limits.disk_bytes + _DISK_OVERHEAD)}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": str(temporary)}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(temporary)}},
    ]
    places: list[dict[str, Any]] = [
        {"name": "workspace", "mountPath": WORKSPACE},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path inside the sandbox
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
    ]
    if mounts:
        volumes.append({"name": "cache", "persistentVolumeClaim": {"claimName": options.claim, "readOnly": True}})
        places += [
            {"name": "cache", "mountPath": mount.target, "subPath": mount.sub_path, "readOnly": True}
            for mount in mounts
        ]
    specification: dict[str, Any] = {
        "restartPolicy": "OnFailure",  # the kernel may kill the container for a command that takes all memory
        "activeDeadlineSeconds": options.session_seconds,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostname": "sandbox",
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},  # at least one is required; nothing listens there
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "supplementalGroups": [],
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": options.image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/bin/sh", "-c", MAIN],
                "workingDir": WORKSPACE,
                "resources": {"requests": dict(resources), "limits": dict(resources)},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "privileged": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": places,
            }
        ],
        "volumes": volumes,
    }
    if options.runtime_class:
        specification["runtimeClassName"] = options.runtime_class
    if options.user_namespace:
        specification["hostUsers"] = False
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": options.namespace,
            "labels": {**_labels(), **labels},
            "annotations": dict(annotations),
        },
        "spec": specification,
    }


def namespace_objects(namespace: str, worker_namespace: str, worker_account: str) -> list[dict[str, Any]]:
    """What an administrator applies once: the namespace of sandboxes with its rules, and what Penstock's service
    account `worker_account`, in `worker_namespace`, may do there."""
    role = "penstock-sandboxes"
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": {f"pod-security.kubernetes.io/{mode}": _STANDARD for mode in ("enforce", "audit", "warn")},
            },
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "deny-all", "namespace": namespace},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        },
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "sandboxes", "namespace": namespace},
            "spec": {"hard": {"pods": "64", "services": "0", "count/jobs.batch": "0", "count/deployments.apps": "0"}},
        },
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": namespace},
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": role, "namespace": namespace},
            "rules": [
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "delete"]},
                # A websocket is asked for with GET; newer API servers also require the right to create.
                {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]},
                {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": worker_account, "namespace": worker_namespace}],
        },
    ]


def _labels() -> dict[str, str]:
    return {"app.kubernetes.io/name": "penstock-sandbox", "app.kubernetes.io/managed-by": "penstock"}
