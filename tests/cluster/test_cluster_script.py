"""`deploy/dev/kubernetes_cluster.py`: what it starts ends with it, also when its caller is killed."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/dev/kubernetes_cluster.py"

START = """
import sys, time
sys.path.insert(0, sys.argv[1])
import kubernetes_cluster
from pathlib import Path
cluster = kubernetes_cluster.start_cluster(Path(sys.argv[2]), die_with_parent=True)
print(cluster.plan.bridge, *cluster.processes.values(), flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.cluster
@pytest.mark.timeout(400)
def test_a_cluster_ends_with_its_caller_and_starts_again(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a cluster needs root")
    command = [sys.executable, "-c", START, str(SCRIPT.parent), str(tmp_path / "data")]
    with (tmp_path / "log").open("w") as log:
        caller = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert caller.stdout is not None
    bridge, *pids = caller.stdout.readline().split()
    assert len(pids) == 6, (tmp_path / "log").read_text()
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    deadline = time.monotonic() + 30
    while any(alive(int(pid)) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert Path(f"/sys/class/net/{bridge}").exists()

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        done = [sys.executable, str(SCRIPT), *arguments, "--data", str(tmp_path / "data")]
        return subprocess.run(done, capture_output=True, text=True, timeout=300, check=False)

    assert run("status").returncode == 1
    started = run("start")
    assert started.returncode == 0, started.stderr
    assert "https://10.245." in started.stdout and "kube-apiserver" in started.stdout
    assert run("status").stdout == started.stdout == run("start").stdout
    assert run("stop").returncode == 0
    assert run("status").returncode == 1
    assert not Path(f"/sys/class/net/{bridge}").exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/penstock-{bridge.removeprefix('penstock')}"))


def test_the_wrapper_takes_the_parts_of_the_same_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    specification = importlib.util.spec_from_file_location(
        "script_kubernetes_programs", SCRIPT.with_name("kubernetes_programs.py")
    )
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    theirs = """module k8s.io/kubernetes

go 1.24.0

require (
	k8s.io/api v0.0.0
	k8s.io/utils v0.0.0-20250604170112-4c0f3b243397
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
)
"""
    assert module.module_file(theirs) == (
        "module penstock.invalid/kubernetes\n"
        "go 1.24.0\n"
        f"require k8s.io/kubernetes {module.VERSION}\n"
        f"replace k8s.io/api => k8s.io/api v0.{module.VERSION.split('.', 1)[1]}\n"
    )
