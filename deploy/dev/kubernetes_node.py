"""The first process of a cluster's own process and mount namespaces: mounts what is private, starts the cluster's
processes in order, and ends when one of them does. When it ends, the kernel ends all others, containers too.

`python kubernetes_node.py FILE`, by kubernetes_cluster.py through `unshare`. FILE is JSON: `commands` in order, the
`data` folder, the `path` for programs, and `api`, the address that has to answer before what uses it is started.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SECONDS = 120.0


def main(file: str) -> int:
    given: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    data = Path(given["data"])
    for command in (
        ["mount", "--make-rshared", "/"],  # what the kubelet mounts has to be seen by containerd
        ["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"],
        ["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/var/lib/cni"],
        ["mount", "--bind", str(data / "kubelet"), "/var/lib/kubelet"],
    ):
        if command[-1] != "/":
            Path(command[-1]).mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=True, timeout=60)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    environment = {**os.environ, "PATH": f"{given['path']}:{os.environ.get('PATH', '')}"}
    children: dict[int, str] = {}
    for command in given["commands"]:
        name = Path(command[0]).name
        if name == "kube-apiserver":
            _await(*given["etcd"])
        elif name not in ("etcd", "containerd"):
            _await(*given["api"])
        with (data / f"{name}.log").open("ab") as log:
            log.truncate(0)
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        children[process.pid] = name
    while True:
        pid, status = os.wait()  # also reaps what containers leave to the first process
        if pid in children:
            print(f"{children[pid]} ended with status {status}", file=sys.stderr)  # noqa: T201
            return 1


def _await(host: str, port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"nothing answers at {host}:{port}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
