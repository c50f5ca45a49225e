"""`sandbox.protocol.Sandbox` on Kubernetes: makes the pod of a session, and removes what dead workers left behind."""

import contextlib
import functools
import hashlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.protocol import Environment, Limits, SandboxUnavailable, Session
from sandbox.self_check import remembered

from .archives import packed
from .check import broken_promise, missing_policy
from .cluster import Cluster
from .manifests import (
    EXPIRES_ANNOTATION,
    OWNER_LABEL,
    PROCESS_ANNOTATION,
    SELECTOR,
    SESSION_LABEL,
    label_value,
    session_pod,
)
from .mounts import claim_mounts
from .options import PodOptions
from .pod import Pod
from .session import PodSession, remove

_log = logging.getLogger(__name__)
_FIRST_USER, _USERS = 10_000, 50_000
_GRACE_SECONDS = 60
_swept: set[tuple[int, str]] = set()
_sweep_lock = threading.Lock()


class KubernetesSandbox:
    """`options` are those of the settings by default. `labels` are added to each pod, for the operator's tools."""

    def __init__(
        self, options: PodOptions | None = None, scratch: Path | None = None, labels: Mapping[str, str] | None = None
    ) -> None:
        self._given = options
        self._scratch = scratch
        self._labels = {label_value(name): label_value(value) for name, value in (labels or {}).items()}

    @property
    def name(self) -> str:
        return "kubernetes"

    @functools.cached_property
    def _options(self) -> PodOptions:
        return self._given or PodOptions.from_settings()

    @functools.cached_property
    def _cluster(self) -> Cluster:
        if not self._options.image:
            raise SandboxUnavailable("no image is set: set kubernetes_image to the image of the pods, with its digest")
        return Cluster(self._options)

    def available(self) -> str | None:
        try:
            problem = missing_policy(self._cluster.policies(), self._options.namespace)
            if problem is not None:
                return problem
            what = f"{self._cluster.address}, namespace {self._options.namespace}"
            known = (self._cluster.address, self._options)
            return remembered(self.name, what, known, lambda: broken_promise(self._open))
        except SandboxUnavailable as error:
            return str(error)

    def version(self) -> str:
        """The image and the RuntimeClass of the pods."""
        return f"{self._options.image} ({self._options.runtime_class or 'default runtime'})"[:100]

    def open(self, environment: Environment, limits: Limits = Limits()) -> Session:  # noqa: B008 - immutable
        self._sweep_once()
        return self._open(environment, limits)

    def _open(self, environment: Environment, limits: Limits) -> Session:
        cluster, options = self._cluster, self._options
        if environment.supervisor:
            raise ValueError("services (penstock.toml) are not started in pods: use the sandbox gvisor or bubblewrap")
        mounts = claim_mounts(environment.mounts, options)
        session = secrets.token_hex(8)
        labels = {**self._labels, SESSION_LABEL: session, OWNER_LABEL: owner()}
        annotations = {
            PROCESS_ANNOTATION: process_identity(os.getpid()),
            EXPIRES_ANNOTATION: str(int(time.time()) + options.session_seconds),
        }
        user = _FIRST_USER + secrets.randbelow(_USERS)  # its own, since Linux counts processes per user
        name = f"penstock-{session}"
        with packed(environment.workspace, limits.disk_bytes, self._scratch) as archive:
            cluster.create(session_pod(name, options, limits, user, labels, annotations, mounts))
            pod = Pod(cluster, name, options.start_seconds)
            try:
                pod.await_running()
                return PodSession(self.name, pod, environment, limits, archive, self._scratch)
            except BaseException:
                remove(pod)
                raise

    def sweep(self) -> list[str]:
        """Deletes pods that have ended, whose time is over, or whose process on this machine is gone. Returns their
        names. Raises `SandboxUnavailable`."""
        removed = []
        for found in self._cluster.pods(SELECTOR):
            if _is_left_behind(found, time.time()):
                name = str(found["metadata"]["name"])
                self._cluster.delete(name)
                removed.append(name)
        return removed

    def _sweep_once(self) -> None:
        """Once per process and namespace; a sweep that fails does not matter for a new session."""
        key = (os.getpid(), self._options.namespace)
        with _sweep_lock:
            if key in _swept:
                return
            _swept.add(key)
        try:
            if removed := self.sweep():
                _log.info("removed %d pods that were left behind", len(removed))
        except SandboxUnavailable as error:
            _log.warning("pods that were left behind cannot be removed: %s", error)


@functools.cache
def owner() -> str:
    """A name for this machine, or for the container that this process runs in."""
    facts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        facts.append(str(Path("/proc/self/ns/pid").readlink()))  # in which the pids of its processes are valid
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]


def process_identity(pid: int) -> str:
    """A process of this machine: its pid and its start, since pids are used again; empty when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return f"{pid}-{stat.rpartition(b')')[2].split()[19].decode()}"


def _is_left_behind(pod: Mapping[str, Any], now: float) -> bool:
    metadata = pod.get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if metadata.get("deletionTimestamp"):
        return False
    expires = str(annotations.get(EXPIRES_ANNOTATION, ""))
    if not expires.isdecimal() or now > int(expires) + _GRACE_SECONDS:
        return True
    if labels.get(OWNER_LABEL) != owner():
        return False
    process = str(annotations.get(PROCESS_ANNOTATION, ""))
    pid = process.partition("-")[0]
    return not pid.isdecimal() or process_identity(int(pid)) != process
