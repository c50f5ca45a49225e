"""A release of the chart that really runs on the cluster of the tests, with a real PostgreSQL outside of it."""

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.cluster.conftest import SANDBOXES
from tests.deploy.chart.rendering import CHART, Document, one, render

VALUES = (CHART / "values-kind.yaml", Path(__file__).with_name("values.yaml"))
NAMESPACE = "penstock"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
CACHE_CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "cache", "namespace": SANDBOXES},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
}


class Forwarder:
    """Passes connections to `address` on to a Unix socket, so that pods reach a server that has only that."""

    def __init__(self, host: str, path: str) -> None:
        self._path = path
        self._server = socket.create_server((host, 0))
        self.address = f"{host}:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                outside, _ = self._server.accept()
                inside = socket.socket(socket.AF_UNIX)
                inside.connect(self._path)
                for source, target in ((outside, inside), (inside, outside)):
                    threading.Thread(target=_copy, args=(source, target), daemon=True).start()

    def close(self) -> None:
        self._server.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one_ in (source, target):
        with suppress(OSError):
            one_.shutdown(socket.SHUT_RDWR)


class Release:
    """The chart's objects as they are applied; `start` brings up migrations, code location and daemon."""

    def __init__(self, cluster: Any, volumes: Path, secrets: dict[str, str]) -> None:
        self.cluster = cluster
        self.documents = render(VALUES)
        self._volumes, self._secrets = volumes, secrets

    def apply(self, documents: list[Document]) -> None:
        free = ("Namespace", "PriorityClass", "RuntimeClass", "PersistentVolume")
        placed = [
            d if d["kind"] in free else {**d, "metadata": {"namespace": NAMESPACE, **d["metadata"]}} for d in documents
        ]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": placed})
        self.cluster.kubectl("apply", "--server-side", "--validate=strict", "--filename", "-", given=text)

    def start(self) -> None:
        self.apply([
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": RESTRICTED}},
            self._secret(),
            self._volume("home", NAMESPACE, "penstock-home"),
            self._volume("cache", NAMESPACE, "penstock-cache"),
            self._volume("cache", SANDBOXES, "cache"),
        ])  # fmt: skip
        later = [d for d in self.documents if d["kind"] in ("Deployment", "Job")]
        self.apply([d for d in self.documents if d not in later])
        self.apply([CACHE_CLAIM])
        self.apply([one(later, "Job", "penstock-migrate")])
        self.await_("the schema", lambda: self._job("penstock-migrate").get("succeeded") == 1, 240)
        self.apply([one(later, "Deployment", f"penstock-{name}") for name in ("code", "gateway")])
        self.await_("the code location", lambda: bool(self.ready("code")), 240)
        self.await_("the gateway", lambda: bool(self.ready("gateway")), 120)
        daemon = one(later, "Deployment", "penstock-daemon")
        # The node has no proxy of services and no DNS: the address of the service is that of its pod.
        address = self.pods("code")[0]["status"]["podIP"]
        daemon["spec"]["template"]["spec"]["hostAliases"] = [{"ip": address, "hostnames": ["penstock-code"]}]
        self.apply([daemon])
        self.await_("the daemon", lambda: bool(self.ready("daemon")), 120)

    def _secret(self) -> Document:
        metadata = {"name": "penstock-database"}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": self._secrets}

    def _volume(self, which: str, namespace: str, name: str) -> Document:
        """A folder of this machine, reserved for one claim."""
        folder = self._volumes / which
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        claim = {"namespace": namespace, "name": name}
        spec = {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "claimRef": claim}
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{namespace}-{which}"},
            "spec": {**spec, "hostPath": {"path": str(folder)}},
        }

    def _job(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.cluster.get("job", name, "-n", NAMESPACE).get("status", {})
        assert not status.get("failed"), self.explain()
        return status

    def pods(self, component: str) -> list[Document]:
        label = f"app.kubernetes.io/component={component}"
        found: list[Document] = self.cluster.get("pods", "-n", NAMESPACE, "-l", label)["items"]
        return found

    def ready(self, component: str) -> list[Document]:
        def is_ready(pod: Document) -> bool:
            conditions = pod["status"].get("conditions", ())
            return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

        return [pod for pod in self.pods(component) if is_ready(pod)]

    def jobs(self, label: str) -> list[Document]:
        found: list[Document] = self.cluster.get("jobs", "-n", NAMESPACE, "-l", label)["items"]
        return found

    def run(self, *command: str, seconds: float = 240) -> str:
        """What a command prints in the pod of the code location, where people run commands."""
        where = ("exec", "-n", NAMESPACE, "deploy/penstock-code", "--")
        return str(self.cluster.kubectl(*where, *command, seconds=seconds).stdout)

    def await_(self, what: str, answers: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not answers():
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s\n{self.explain()}"
            time.sleep(0.5)

    def explain(self) -> str:
        """For the report of a failure."""
        parts = [self.cluster.kubectl("get", "pods,jobs", "-n", NAMESPACE, "-o", "wide", check=False).stdout]
        events = self.cluster.kubectl("get", "events", "-n", NAMESPACE, "--sort-by=.lastTimestamp", check=False)
        parts.append(events.stdout[-3000:])
        for pod in self.cluster.get("pods", "-n", NAMESPACE)["items"]:
            name = pod["metadata"]["name"]
            shown = self.cluster.kubectl("logs", "-n", NAMESPACE, name, "--tail=30", check=False)
            parts.append(f"{name}: {(shown.stdout + shown.stderr)[-2500:]}")
        return "\n".join(parts)
