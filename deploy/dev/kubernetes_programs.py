"""The programs of a one-node Kubernetes, in the cache: Kubernetes' own built from their Go module, the others from
Debian's packages, unpacked without installing them (that would start containerd)."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from servers import cache_folder, locked

VERSION = "v1.34.4"
MODULE = "k8s.io/kubernetes"
BUILT = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
KEDA, KEDA_VERSION = "github.com/kedacore/keda/v2", "v2.17.2"
KEDA_FILE = "config/crd/bases/keda.sh_scaledobjects.yaml"
"""What teaches an API server KEDA's objects; KEDA itself is not run."""
APT_PACKAGES = ("etcd-server", "containerd", "containernetworking-plugins", "runc", "busybox-static")
NEEDED = ("unshare", "setpriv", "ip", "mount", "openssl", "apt-get", "dpkg")


class KubernetesMissing(RuntimeError):
    """The cluster's programs cannot be had here; the message says what to install."""


def install() -> Path:
    """The folder of the programs, which are built and unpacked if missing (ten to thirty minutes on two cores).
    Raises `KubernetesMissing`."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or not sys.platform.startswith("linux"):
        raise KubernetesMissing(f"a cluster needs Debian with {', '.join(missing) or 'Linux'}")
    home = cache_folder() / f"kubernetes-{VERSION}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with locked(cache_folder() / f"kubernetes-{VERSION}.lock"):
        if not (home / "debian").is_dir():
            _unpack(home)
        if not all((home / name).is_file() for name in (*BUILT, Path(KEDA_FILE).name)):
            _build(home)
    return home


def _unpack(home: Path) -> None:
    home.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        if os.geteuid() == 0:
            subprocess.run(["apt-get", "update", "-qq"], check=False, timeout=600, stdout=sys.stderr)
        command = ["apt-get", "download", "-qq", *APT_PACKAGES]
        done = subprocess.run(command, cwd=folder, check=False, timeout=600, capture_output=True, text=True)
        packages = list(Path(folder).glob("*.deb"))
        if done.returncode or len(packages) != len(APT_PACKAGES):
            raise KubernetesMissing(f"apt-get could not download {' '.join(APT_PACKAGES)}:\n{done.stderr[-1000:]}")
        unpacked = Path(folder) / "unpacked"
        for package in packages:
            subprocess.run(["dpkg", "-x", str(package), str(unpacked)], check=True, timeout=600)
        unpacked.rename(home / "debian")


def _build(home: Path) -> None:
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        raise KubernetesMissing("building Kubernetes needs Go 1.24 or newer (https://go.dev/dl/)")
    # Without checksum verification, since a mirror that serves only modules has no checksum database.
    environment = {**os.environ, "GOSUMDB": "off", "GOFLAGS": "-mod=mod -buildvcs=false", "CGO_ENABLED": "0"}
    with tempfile.TemporaryDirectory(dir=home) as scratch:

        def run(*arguments: str, seconds: float = 600) -> str:
            command = ["nice", str(go), *arguments]
            done = subprocess.run(
                command, cwd=scratch, env=environment, capture_output=True, text=True, timeout=seconds, check=False
            )
            if done.returncode != 0:
                raise KubernetesMissing(
                    f"Kubernetes {VERSION} could not be built (go {' '.join(arguments)}):\n{done.stderr[-3000:]}"
                )
            return done.stdout

        wrapper = Path(scratch) / "go.mod"
        wrapper.write_text("module penstock.invalid/kubernetes\n", encoding="utf-8")
        source = Path(json.loads(run("mod", "download", "-json", f"{MODULE}@{VERSION}"))["Dir"])
        wrapper.write_text(module_file((source / "go.mod").read_text(encoding="utf-8")), encoding="utf-8")
        keda = json.loads(run("mod", "download", "-json", f"{KEDA}@{KEDA_VERSION}"))["Dir"]
        shutil.copyfile(Path(keda) / KEDA_FILE, home / Path(KEDA_FILE).name)
        package = "k8s.io/component-base/version"
        stamps = {"gitVersion": VERSION, "gitMajor": "1", "gitMinor": VERSION.split(".")[1]}
        flags = " ".join(["-s", "-w", *(f"-X {package}.{name}={value}" for name, value in stamps.items())])
        for name in BUILT:
            if (home / name).is_file():
                continue
            print(f"kubernetes: building {name} {VERSION}", file=sys.stderr)  # noqa: T201
            made = Path(scratch) / name
            run("build", "-trimpath", "-ldflags", flags, "-o", str(made), f"{MODULE}/cmd/{name}", seconds=3600)
            made.rename(home / name)


def module_file(theirs: str) -> str:
    """The go.mod of a module that requires Kubernetes, from Kubernetes' own: the parts that it takes from its source
    tree are the modules of the same release."""
    language = re.search(r"^go \S+$", theirs, re.M)
    parts = re.findall(r"^\s*(?:replace )?(\S+) => \./staging/", theirs, re.M)
    lines = ["module penstock.invalid/kubernetes", language[0] if language else "go 1.24.0"]
    lines += [f"require {MODULE} {VERSION}"]
    lines += [f"replace {part} => {part} v0.{VERSION.split('.', 1)[1]}" for part in parts]
    return "\n".join(lines) + "\n"
