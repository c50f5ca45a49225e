"""What the processes of a one-node Kubernetes are told: files below the data folder, and their commands in order.

Everything listens on loopback or on addresses of a bridge that only this machine and its pods have. The address of the
service `kubernetes` is one of them, so that pods reach the API server without a proxy on the node.
"""

import json
import secrets
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import free_port

PAUSE = "penstock.invalid/pause:1"
NODE = "penstock"
ISOLATION = "penstock-isolation"


@dataclass(frozen=True)
class Plan:
    """One cluster of this machine. `number`, 1 to 250, names its bridge, its addresses and its cgroup."""

    data: Path
    programs: Path
    number: int
    etcd_ports: tuple[int, int]

    @property
    def bridge(self) -> str:
        return f"penstock{self.number}"

    @property
    def node_address(self) -> str:
        return f"10.244.{self.number}.1"

    @property
    def api_address(self) -> str:
        return f"10.245.{self.number}.1"

    @property
    def url(self) -> str:
        return f"https://{self.api_address}:443"

    @property
    def cgroup(self) -> str:
        return f"penstock-{self.number}"

    @property
    def token(self) -> str:
        return (self.data / "tokens.csv").read_text(encoding="ascii").partition(",")[0]


def plan(data: Path, programs: Path, number: int) -> Plan:
    return Plan(data, programs, number, (free_port(), free_port()))


def write(made: Plan, shared: Mapping[Path, Path], isolated: tuple[str, ...]) -> list[list[str]]:
    """Writes the files and returns the commands, the API server's second. `shared` has folders of this machine by
    the paths at which every container can read them, `isolated` namespaces whose pods get no network."""
    data = made.data
    for name in ("pki", "cni", "plugins", "kubelet", "pods", "volume-plugins"):
        (data / name).mkdir(exist_ok=True)
    _secrets(made)
    _private(data / "kubeconfig", kubeconfig(made))
    (data / "kubelet.json").write_text(json.dumps(_kubelet(made)), encoding="utf-8")
    (data / "cni" / "10-bridge.conflist").write_text(json.dumps(_network(made, isolated)), encoding="utf-8")
    plugin, script = data / "plugins" / ISOLATION, Path(__file__).with_name("kubernetes_isolation.py")
    plugin.write_text(
        f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -I {shlex.quote(str(script))}\n", encoding="utf-8"
    )
    plugin.chmod(0o755)
    for bundled in (made.programs / "debian/usr/lib/cni").iterdir():
        if not (data / "plugins" / bundled.name).exists():
            (data / "plugins" / bundled.name).symlink_to(bundled)
    (data / "containerd.toml").write_text(_containerd(made), encoding="utf-8")
    (data / "base.json").write_text(json.dumps(_base(made, shared)), encoding="utf-8")
    return _commands(made)


def kubeconfig(made: Plan) -> str:
    """As JSON, which is YAML too. The user is the cluster's administrator."""
    cluster = {"server": made.url, "insecure-skip-tls-verify": True}
    authority = made.data / "pki" / "apiserver.crt"
    if authority.is_file():
        cluster = {"server": made.url, "certificate-authority": str(authority)}
    return json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NODE,
        "clusters": [{"name": NODE, "cluster": cluster}],
        "users": [{"name": NODE, "user": {"token": made.token}}],
        "contexts": [{"name": NODE, "context": {"cluster": NODE, "user": NODE}}],
    })  # fmt: skip


def _private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def _secrets(made: Plan) -> None:
    """The administrator's token; the keys of service accounts; a certificate by which the kubelet knows the API server;
    the API server's own certificate."""
    pki = made.data / "pki"
    if not (made.data / "tokens.csv").is_file():
        _private(made.data / "tokens.csv", f"{secrets.token_hex(24)},admin,admin,system:masters\n")
    if not (pki / "accounts.key").is_file():
        _openssl("genrsa", "-out", str(pki / "accounts.key"), "2048")
        _openssl("rsa", "-in", str(pki / "accounts.key"), "-pubout", "-out", str(pki / "accounts.pub"))
    for name, subject, extra in (
        ("kubelet-client", "/O=system:masters/CN=kube-apiserver", "extendedKeyUsage=clientAuth"),
        ("apiserver", "/CN=kube-apiserver", f"subjectAltName=IP:{made.api_address},DNS:kubernetes.default.svc"),
    ):
        if not (pki / f"{name}.crt").is_file():
            files = ("-keyout", str(pki / f"{name}.key"), "-out", str(pki / f"{name}.crt"))
            _openssl(
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                *files,
                "-days",
                "30",
                "-subj",
                subject,
                "-addext",
                extra,
            )


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise OSError(f"openssl {arguments[0]} failed: {done.stderr[-1000:]}")


def _kubelet(made: Plan) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": made.node_address,
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(made.data / "pki" / "kubelet-client.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{made.cgroup}",
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "podLogsDir": str(made.data / "pods"),
        "volumePluginDir": str(made.data / "volume-plugins"),
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": False,
        "podPidsLimit": 4096,
        "registerNode": True,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
    }


def _network(made: Plan, isolated: tuple[str, ...]) -> dict[str, Any]:
    ipam = {
        "type": "host-local",
        "dataDir": "/run/penstock-addresses",
        "ranges": [[{"subnet": f"10.244.{made.number}.0/24", "gateway": made.node_address}]],
        "routes": [{"dst": "0.0.0.0/0", "gw": made.node_address}],
    }
    return {
        "cniVersion": "0.4.0",
        "name": made.bridge,
        "plugins": [
            {"type": "bridge", "bridge": made.bridge, "isGateway": False, "ipam": ipam},
            {"type": ISOLATION, "isolated": list(isolated)},
        ],
    }


def _containerd(made: Plan) -> str:
    debian = made.programs / "debian"
    return f"""version = 2
root = "{made.data}/containerd"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
base_runtime_spec = "{made.data}/base.json"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{debian}/usr/sbin/runc"
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{made.data}/plugins"
conf_dir = "{made.data}/cni"
"""


def _base(made: Plan, shared: Mapping[Path, Path]) -> dict[str, Any]:
    """containerd's default for every container, with the shared folders. So they need no volumes in pods, which the
    restricted standard would refuse."""
    program = made.programs / "debian" / "usr" / "bin" / "ctr"
    done = subprocess.run([str(program), "oci", "spec"], capture_output=True, text=True, timeout=60, check=True)
    base: dict[str, Any] = json.loads(done.stdout)
    options = ["rbind", "ro", "nosuid", "nodev"]
    for inside, folder in sorted(shared.items(), key=lambda one: len(one[0].parts)):
        base["mounts"].append({"destination": str(inside), "type": "bind", "source": str(folder), "options": options})
    return base


def _commands(made: Plan) -> list[list[str]]:
    data, programs = made.data, made.programs
    client, peer = (f"http://127.0.0.1:{port}" for port in made.etcd_ports)
    pki, config = data / "pki", str(data / "kubeconfig")
    accounts = str(pki / "accounts.key")
    etcd = [str(programs / "debian/usr/bin/etcd"), "--data-dir", str(data / "etcd"), "--name", NODE]
    etcd += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
    etcd += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"{NODE}={peer}"]
    api = [
        str(programs / "kube-apiserver"),
        f"--etcd-servers={client}",
        f"--bind-address={made.api_address}",
        "--secure-port=443",
        f"--advertise-address={made.node_address}",
        f"--service-cluster-ip-range=10.245.{made.number}.0/24",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--service-account-key-file={pki / 'accounts.pub'}",
        f"--service-account-signing-key-file={accounts}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={data / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",  # as installers set it: what refuses such pods is the standard of their namespace
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
    ]
    manager = [
        str(programs / "kube-controller-manager"),
        f"--kubeconfig={config}",
        f"--service-account-private-key-file={accounts}",
        f"--root-ca-file={pki / 'apiserver.crt'}",
        "--leader-elect=false",
        "--secure-port=0",
    ]
    scheduler = [str(programs / "kube-scheduler"), f"--kubeconfig={config}", "--leader-elect=false", "--secure-port=0"]
    containerd = [str(programs / "debian/usr/bin/containerd"), "--config", str(data / "containerd.toml")]
    kubelet = [
        str(programs / "kubelet"),
        f"--config={data / 'kubelet.json'}",
        f"--kubeconfig={config}",
        f"--hostname-override={NODE}",
        f"--node-ip={made.node_address}",
        f"--cert-dir={pki}",
    ]
    return [etcd, api, containerd, manager, scheduler, kubelet]
