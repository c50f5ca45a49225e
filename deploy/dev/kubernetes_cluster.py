#!/usr/bin/env python3
"""Runs a real Kubernetes of one node on this machine, for development and tests, as root on Linux.

Not for production: one administrator's token, etcd without authentication on loopback, a network that enforces no
NetworkPolicy, no DNS. All its processes are in process and mount namespaces of their own, so that they and all
containers end with the first of them. What is left then, a bridge and control groups, is removed by `stop`, and by the
next start on the same data. `kubernetes_cluster.py install | start | status | stop`; from Python, load it by path and
call `start_cluster`.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import kubernetes_config
import servers
from kubernetes_images import write_image
from kubernetes_programs import KubernetesMissing, install
from servers import cache_folder, locked

READY_SECONDS = 240.0
HIGHEST = 250
_CGROUPS = Path("/sys/fs/cgroup")


class KubernetesFailed(RuntimeError):
    """The cluster did not start; the message holds the end of a log."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster. Its API is at `url`, its administrator's kubeconfig at `config`."""

    plan: kubernetes_config.Plan
    pid: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False, compare=False)
    """Set when this process started it."""

    @property
    def url(self) -> str:
        return self.plan.url

    @property
    def config(self) -> Path:
        return self.plan.data / "kubeconfig"

    @property
    def host(self) -> str:
        """The address at which pods reach this machine."""
        return self.plan.node_address

    @property
    def processes(self) -> dict[str, int]:
        """The cluster's own processes by name."""
        first = _child(self.pid)
        names = {}
        for pid in _children(first) if first else ():
            with contextlib.suppress(OSError):
                names[Path(f"/proc/{pid}/comm").read_text().strip()] = pid
        return names

    def kubectl(
        self, *arguments: str, given: str | None = None, check: bool = True, seconds: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """Runs kubectl as administrator with `given` as its input. With `check` a failure raises
        `KubernetesFailed`."""
        command = [str(self.plan.programs / "kubectl"), "--kubeconfig", str(self.config), *arguments]
        environment = {**os.environ, "HOME": str(self.plan.data)}
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=seconds, check=False, env=environment
        )
        if check and done.returncode:
            raise KubernetesFailed(f"kubectl {' '.join(arguments[:4])} failed:\n{done.stderr[-3000:]}")
        return done

    def get(self, *arguments: str) -> Any:
        """The decoded answer of `kubectl get`."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def add_image(self, name: str, **content: Any) -> None:
        """Makes an image known to the node: see `kubernetes_images.write_image`."""
        with tempfile.TemporaryDirectory(dir=self.plan.data) as folder:
            file = Path(folder) / "image.tar"
            write_image(file, name, **content)
            inside = ["nsenter", "--target", str(_child(self.pid)), "--mount", "--pid", "--"]
            program = str(self.plan.programs / "debian/usr/bin/ctr")
            command = [*inside, program, "--namespace", "k8s.io", "images", "import", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise KubernetesFailed(f"the image {name} could not be imported:\n{done.stderr[-2000:]}")

    def stop(self, grace: float = 0.0) -> None:
        """Kills the cluster with all its containers, and removes its bridge and control groups; its data stays."""
        servers.stop(self.pid, lambda: _is_ours(self.pid, self.plan.data), grace, process=self.process)
        (self.plan.data / "cluster.pid").unlink(missing_ok=True)
        _clean(self.plan)


def start_cluster(
    data_dir: Path,
    *,
    shared: Mapping[Path, Path] | None = None,
    isolated: tuple[str, ...] = (),
    die_with_parent: bool = False,
    seconds: float = READY_SECONDS,
) -> Cluster:
    """Starts a cluster on an empty or stopped `data_dir` and waits until its node is ready.

    Every container can read the folders of this machine that `shared` has by their paths in containers. Pods of the
    namespaces `isolated` get no network. `die_with_parent` ends the cluster with the calling process. Raises
    `KubernetesMissing`, `KubernetesFailed`.
    """
    if os.geteuid() != 0:
        raise KubernetesMissing("a cluster needs root: for containers, mounts and a bridge")
    programs = install()
    data_dir = data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    running = running_cluster(data_dir)
    if running:
        return running
    with locked(cache_folder() / "kubernetes-numbers.lock"):
        plan = _plan(data_dir, programs)
        _clean(plan)
        _network(plan)
    commands = kubernetes_config.write(plan, shared or {}, isolated)
    debian = programs / "debian"
    node = data_dir / "node.json"
    node.write_text(
        json.dumps({
            "data": str(data_dir),
            "path": f"{debian}/usr/bin:{debian}/usr/sbin",
            "commands": commands,
            "etcd": ["127.0.0.1", plan.etcd_ports[0]],
            "api": [plan.api_address, 443],
        }),
        encoding="utf-8",
    )  # fmt: skip
    log = data_dir / "node.log"
    first = [sys.executable, str(Path(__file__).with_name("kubernetes_node.py")), str(node)]
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", *first]
    process = servers.start(command, log, die_with_parent=die_with_parent)
    cluster = Cluster(plan, process.pid, process)
    (data_dir / "cluster.pid").write_text(f"{process.pid} {plan.url}\n", encoding="utf-8")
    if not servers.wait_until(lambda: _api_answers(cluster), process, seconds, pause=0.5):
        raise _failed(cluster, "the API server does not answer")
    if not servers.wait_until(lambda: _containerd_answers(cluster), process, seconds):
        raise _failed(cluster, "containerd does not answer")
    waits = {"Cmd": ["/bin/busybox", "sleep", "2147483647"]}
    cluster.add_image(kubernetes_config.PAUSE, files={"bin/busybox": debian / "bin/busybox"}, config=waits)
    if not servers.wait_until(lambda: _node_is_ready(cluster), process, seconds, pause=0.5):
        raise _failed(cluster, "the node did not become ready")
    return cluster


def running_cluster(data_dir: Path) -> Cluster | None:
    """The cluster that runs on `data_dir`, or None."""
    noted = servers.read_pid(data_dir / "cluster.pid")
    if noted is None or not _is_ours(noted[0], data_dir.absolute()):
        return None
    return Cluster(_known(data_dir.absolute(), install()), noted[0])


def _failed(cluster: Cluster, what: str) -> KubernetesFailed:
    logs = [log for log in cluster.plan.data.glob("*.log") if log.stat().st_size]
    text = "\n".join(f"{log.name}: {servers.tail(log)[-1500:]}" for log in sorted(logs))
    cluster.stop()
    return KubernetesFailed(f"{what}; the ends of the logs:\n{text}")


def _known(data: Path, programs: Path) -> kubernetes_config.Plan:
    noted = json.loads((data / "plan.json").read_text(encoding="utf-8"))
    return kubernetes_config.Plan(data, programs, noted["number"], tuple(noted["etcd_ports"]))


def _plan(data: Path, programs: Path) -> kubernetes_config.Plan:
    """The data's plan, or a new one with a number that no other cluster of this machine has."""
    if (data / "plan.json").is_file():
        return _known(data, programs)
    taken = {one["ifname"] for one in json.loads(_ip("-json", "link", "show") or "[]")}
    for number in range(1, HIGHEST + 1):
        plan = kubernetes_config.plan(data, programs, number)
        if plan.bridge not in taken:
            note = {"number": number, "etcd_ports": plan.etcd_ports}
            (data / "plan.json").write_text(json.dumps(note), encoding="utf-8")
            return plan
    raise KubernetesFailed(f"this machine has {HIGHEST} clusters; remove left bridges: ip link delete penstockN")


def _network(plan: kubernetes_config.Plan) -> None:
    _ip("link", "add", plan.bridge, "type", "bridge")
    _ip("address", "add", f"{plan.node_address}/24", "dev", plan.bridge)
    _ip("address", "add", f"{plan.api_address}/32", "dev", plan.bridge)
    _ip("link", "set", plan.bridge, "up")
    for root in _hierarchies():
        (root / plan.cgroup).mkdir(exist_ok=True)


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=60, check=False)
    if check and done.returncode:
        raise KubernetesFailed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _hierarchies() -> list[Path]:
    """Where control groups are made: one folder with version 2, one for each controller with version 1."""
    if (_CGROUPS / "cgroup.controllers").is_file():
        return [_CGROUPS]
    return [folder for folder in _CGROUPS.iterdir() if (folder / "cgroup.procs").is_file() and not folder.is_symlink()]


def _clean(plan: kubernetes_config.Plan) -> None:
    """Removes what the kernel keeps of a cluster that has ended."""
    _ip("link", "delete", plan.bridge, check=False)
    deadline = time.monotonic() + 10
    for root in _hierarchies():
        top = root / plan.cgroup
        while top.is_dir() and time.monotonic() < deadline:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):  # busy until its last process is gone
                    Path(folder).rmdir()
            if top.is_dir():
                time.sleep(0.1)


def _api_answers(cluster: Cluster) -> bool:
    return cluster.kubectl("get", "--raw", "/readyz", check=False).returncode == 0


def _containerd_answers(cluster: Cluster) -> bool:
    first = _child(cluster.pid)
    return first is not None and Path(f"/proc/{first}/root/run/containerd/containerd.sock").exists()


def _node_is_ready(cluster: Cluster) -> bool:
    done = cluster.kubectl("get", "node", kubernetes_config.NODE, "-o", "json", check=False)
    if done.returncode:
        return False
    conditions = json.loads(done.stdout)["status"].get("conditions", ())
    account = cluster.kubectl("get", "serviceaccount", "default", check=False)
    return account.returncode == 0 and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _child(pid: int) -> int | None:
    found = _children(pid)
    return found[0] if found else None


def _is_ours(pid: int, data_dir: Path) -> bool:
    return servers.holds(pid, str(data_dir / "node.json"))


def main(arguments: list[str] | None = None) -> int:
    def shown(cluster: Cluster) -> str:
        pids = ", ".join(f"{name} {pid}" for name, pid in cluster.processes.items())
        return f"{cluster.url}, process {cluster.pid} ({pids}); export KUBECONFIG={cluster.config}"

    return servers.command_line(
        "kubernetes_cluster",
        "A one-node Kubernetes for development.",
        {
            "install": "build Kubernetes into the cache",
            "start": "start a cluster and print its address, processes and kubeconfig",
            "status": "print the same; exit code 1 if none runs",
            "stop": "stop the cluster with its containers; its data stays",
        },
        install,
        lambda given: start_cluster(given.data),
        running_cluster,
        shown,
        (KubernetesMissing, KubernetesFailed),
        port=False,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
