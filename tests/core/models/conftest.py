"""A running proxy over servers whose behaviour tests choose."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from core.database import Database
from core.models.config import ProxyConfig
from core.models.proxy import Proxy
from core.models.server import ProxyServer
from tests.model_backend import ModelBackend

QUICK = {"connect": 1.0, "first_byte": 0.6, "between": 0.5, "total": 5.0, "queue": 1.0}


@dataclass
class Running:
    """A proxy that serves in a thread."""

    proxy: Proxy
    url: str = ""
    token: str = ""
    _server: ProxyServer | None = None
    _thread: threading.Thread | None = None
    _started: threading.Event = field(default_factory=threading.Event)
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20, trust_env=False))

    def start(self) -> "Running":
        self._server = ProxyServer(self.proxy, "127.0.0.1", 0, self._on_started)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        assert self._started.wait(20)
        return self

    def _on_started(self, address: str) -> None:
        self.url = address
        self._started.set()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(20)
        self._client.close()

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        return self._client.post(self.url + path, json=body, headers={**self._auth(), **headers})

    def get(self, path: str) -> httpx.Response:
        return self._client.get(self.url + path, headers=self._auth())

    def _auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def chat(self, model: str = "m", *, stream: bool = False, task: str | None = None, **body: Any) -> httpx.Response:
        headers = {"X-Penstock-Task": task} if task else {}
        asked = {"model": model, "messages": [{"role": "user", "content": "count"}], **body}
        return self.post("/v1/chat/completions", {**asked, **({"stream": True} if stream else {})}, **headers)

    def metric(self, name: str, **labels: str) -> float:
        self.proxy.rendered()
        return self.proxy.metrics.registry.get_sample_value(f"penstock_model_proxy_{name}", labels) or 0.0

    def state(self, backend: str) -> dict[str, Any]:
        models = self.get("/state").json()["models"]
        found: dict[str, Any] = next(one for m in models for one in m["backends"] if one["name"] == backend)
        return found

    def until(self, true: Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "it did not become true in time"
            time.sleep(0.02)


@pytest.fixture
def backends() -> Iterator[Callable[..., ModelBackend]]:
    started: list[ModelBackend] = []

    def start(behaviour: str = "honest", **more: Any) -> ModelBackend:
        started.append(ModelBackend(behaviour, **more).start())
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def proxied() -> Iterator[Callable[..., Running]]:
    """Starts a proxy: servers by name, each with what its entry in the configuration changes."""
    started: list[Running] = []

    def start(
        servers: dict[str, ModelBackend | tuple[ModelBackend, dict[str, Any]]],
        database: Database | None = None,
        **config: Any,
    ) -> Running:
        entries = []
        for name, server in servers.items():
            backend, changes = server if isinstance(server, tuple) else (server, {})
            kind = changes.get("kind", "openai")
            url = backend.url if kind == "ollama" else f"{backend.url}/v1"
            entries.append({"name": name, "url": url, "kind": kind, "model": "m", **changes})
        values = {"access": {"mode": "open"}, "times": QUICK, **config, "backends": entries}
        running = Running(Proxy(ProxyConfig.model_validate(values), database))
        running.proxy.probes._every, running.proxy.probes._while_down = 0.3, 0.1
        started.append(running)
        return running.start()

    yield start
    for running in started:
        running.stop()
