"""The Pod Security Standard "restricted", and what this chart promises beyond it, as rules over a pod's spec.

https://kubernetes.io/docs/concepts/security/pod-security-standards/. Each rule yields what is wrong, and has in
`test_pod_security.py` a change that only it must find.
"""

from collections.abc import Callable, Iterator
from typing import Any

from tests.deploy.chart.rendering import Pod

Rule = Callable[[Pod], Iterator[str]]
RULES: dict[str, Rule] = {}
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def rule(check: Rule) -> Rule:
    RULES[check.__name__] = check
    return check


def contexts(pod: Pod) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "pod", pod.spec.get("securityContext", {})
    for container in pod.containers:
        yield container["name"], container.get("securityContext", {})


@rule
def no_host_namespaces(pod: Pod) -> Iterator[str]:
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(name))


@rule
def nothing_privileged(pod: Pod) -> Iterator[str]:
    yield from (where for where, context in contexts(pod) if context.get("privileged"))


@rule
def no_host_ports(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        yield from (str(port) for port in container.get("ports", ()) if port.get("hostPort"))


@rule
def known_volumes(pod: Pod) -> Iterator[str]:
    for volume in pod.spec.get("volumes", ()):
        yield from (f"{volume['name']}: {kind}" for kind in set(volume) - {"name"} - VOLUMES)


@rule
def no_loosened_profiles(pod: Pod) -> Iterator[str]:
    for where, context in contexts(pod):
        for name in ("seLinuxOptions", "windowsOptions", "sysctls", "procMount"):
            if context.get(name):
                yield f"{where}: {name}"
        if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") != "RuntimeDefault":
            yield f"{where}: appArmorProfile"


@rule
def no_hosts_in_probes(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        actions = [container.get(name, {}) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
        actions += list(container.get("lifecycle", {}).values())
        for action in actions:
            yield from (kind for kind in ("httpGet", "tcpSocket") if action.get(kind, {}).get("host"))


@rule
def privileges_cannot_grow(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        if container.get("securityContext", {}).get("allowPrivilegeEscalation") is not False:
            yield container["name"]


@rule
def capabilities_are_dropped(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        capabilities = container.get("securityContext", {}).get("capabilities", {})
        if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
            yield container["name"]


@rule
def nobody_is_root(pod: Pod) -> Iterator[str]:
    of_pod = pod.spec.get("securityContext", {})
    for container in pod.containers:
        context = {**of_pod, **container.get("securityContext", {})}
        if context.get("runAsNonRoot") is not True:
            yield f"{container['name']}: runAsNonRoot"
        if not context.get("runAsUser") or not context.get("runAsGroup"):
            yield f"{container['name']}: user or group is 0 or the image's"


@rule
def the_runtimes_seccomp_profile(pod: Pod) -> Iterator[str]:
    of_pod = pod.spec.get("securityContext", {})
    for container in pod.containers:
        context = {**of_pod, **container.get("securityContext", {})}
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield container["name"]


# beyond the standard


@rule
def the_image_cannot_be_written(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield container["name"]


@rule
def each_container_has_limits(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        limits = container.get("resources", {}).get("limits", {})
        yield from (f"{container['name']}: {name}" for name in ("cpu", "memory") if not limits.get(name))


@rule
def tokens_only_for_those_who_use_them(pod: Pod) -> Iterator[str]:
    mounted = pod.spec.get("automountServiceAccountToken")
    if mounted is not (pod.component in ("daemon", "webserver", "code", "run", "model-proxy") and bool(mounted)):
        yield f"automountServiceAccountToken is {mounted}"


@rule
def no_service_links(pod: Pod) -> Iterator[str]:
    if pod.spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks"


@rule
def images_are_pinned(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        name = container["image"].rpartition("/")[2]
        if "@sha256:" not in name and (":" not in name or name.endswith(":latest")):
            yield container["image"]


@rule
def mounts_name_volumes(pod: Pod) -> Iterator[str]:
    volumes = [volume["name"] for volume in pod.spec.get("volumes", ())]
    yield from (name for name in set(volumes) if volumes.count(name) > 1)
    for container in pod.containers:
        places = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
        yield from (place for place in set(places) if places.count(place) > 1)
        yield from (m["name"] for m in container.get("volumeMounts", ()) if m["name"] not in volumes)


@rule
def no_secret_in_the_environment(pod: Pod) -> Iterator[str]:
    """Dagster reads the address of its database from the environment alone; every other secret is a file."""
    for container in pod.containers:
        for variable in container.get("env", ()):
            if "secretKeyRef" in variable.get("valueFrom", {}) and variable["name"] != "PENSTOCK_DAGSTER_DATABASE_URL":
                yield variable["name"]
        yield from ("envFrom" for source in container.get("envFrom", ()) if "secretRef" in source)


@rule
def volumes_in_the_pod_have_a_size(pod: Pod) -> Iterator[str]:
    for volume in pod.spec.get("volumes", ()):
        if "emptyDir" in volume and not volume["emptyDir"].get("sizeLimit"):
            yield volume["name"]


def violations(pod: Pod) -> dict[str, list[str]]:
    """What is wrong, by rule."""
    return {name: found for name, check in RULES.items() if (found := list(check(pod)))}
