"""Queues, versions, shadows, sleeping servers, probes and changed configurations, on running proxies."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.models.config import read_config
from core.models.proxy import Proxy
from core.models.server import DeadlineProtocol
from tests.core.models.conftest import QUICK, Running
from tests.model_backend import TEXT, ModelBackend


def test_a_server_gets_no_more_at_once_than_it_may_and_the_rest_wait(backends: Any, proxied: Any) -> None:
    backend = backends("slow")
    proxy = proxied({"a": (backend, {"concurrency": 2})}, times={**QUICK, "queue": 5.0})
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: proxy.chat().status_code, range(8)))
    assert answers == [200] * 8
    assert backend.most_at_once == 2


def test_a_full_queue_is_429_with_the_time_to_wait(backends: Any, proxied: Any) -> None:
    backend = backends("slow")
    times = {**QUICK, "queue": 15.0, "total": 20.0}
    proxy = proxied({"a": (backend, {"concurrency": 1})}, models=[{"name": "m", "queue": 2}], times=times)
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: proxy.chat(), range(12)))
    full = [answer for answer in answers if answer.status_code == 429]
    assert len(full) >= 8 and sum(answer.is_success for answer in answers) >= 3
    assert full[0].json()["error"]["code"] == "queue_full"
    assert int(full[0].headers["retry-after"]) >= 1


def test_one_who_waits_too_long_is_429(backends: Any, proxied: Any) -> None:
    proxy = proxied({"a": (backends("late"), {"concurrency": 1})}, times={**QUICK, "queue": 0.2})
    with ThreadPoolExecutor(2) as threads:
        answers = sorted(threads.map(lambda _: proxy.chat().status_code, range(2)))
    assert answers == [200, 429]


def test_a_server_that_is_away_for_a_moment_costs_time_and_no_request(backends: Any, proxied: Any) -> None:
    backend = backends()
    proxy = proxied({"a": backend}, times={**QUICK, "queue": 5.0, "total": 10.0}, tries=1)
    assert proxy.chat().is_success
    backend.stop()
    again = ModelBackend(port=backend.port)
    threading.Timer(0.7, again.start).start()
    try:
        assert proxy.chat().status_code == 200
    finally:
        again.stop()


def test_no_server_at_all_is_503_and_says_why(backends: Any, proxied: Any) -> None:
    backend = backends()
    proxy = proxied({"a": (backend, {"kind": "ollama"})}, times={**QUICK, "queue": 0.3})
    backend.stop()
    proxy.until(lambda: proxy.state("a")["state"] == "down")
    answer = proxy.chat()
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
    assert "no server of model m is up" in answer.json()["error"]["message"]


def test_a_canary_gets_its_share_and_a_named_version_its_server(backends: Any, proxied: Any) -> None:
    old, new = backends(), backends()
    model = {"name": "m", "versions": {"1": 80, "2": 20}}
    proxy = proxied({"a": old, "b": (new, {"version": "2"})}, models=[model])
    for number in range(60):
        assert proxy.chat(task=f"task {number}").is_success
    assert 3 <= len(new.bodies) <= 25 and len(old.bodies) + len(new.bodies) == 60
    before = len(new.bodies)
    assert proxy.chat("m@2").is_success and len(new.bodies) == before + 1


def test_a_draining_version_gets_nothing_new_and_tells_when_it_is_empty(backends: Any, proxied: Any) -> None:
    old, new = backends(), backends()
    model = {"name": "m", "versions": {"1": 1, "2": 1}, "draining": ["1"]}
    proxy = proxied({"a": old, "b": (new, {"version": "2"})}, models=[model])
    for number in range(10):
        assert proxy.chat(task=str(number)).is_success
    assert not old.bodies
    answer = proxy.chat("m@1")
    assert answer.status_code == 404 and "is being drained" in answer.json()["error"]["message"]
    versions = proxy.get("/state").json()["models"][0]["versions"]
    assert [one["drained"] for one in versions] == [True, False]


def test_shadow_answers_reach_nobody_and_their_number_is_bounded(backends: Any, proxied: Any) -> None:
    real, tried = backends(), backends("slow")
    model = {"name": "m", "versions": {"1": 1, "2": 0}, "shadow": {"version": "2", "share": 1.0, "at_once": 1}}
    proxy = proxied({"a": real, "b": (tried, {"version": "2"})}, models=[model])
    began = time.monotonic()
    for _ in range(5):
        assert proxy.chat().json()["choices"][0]["message"]["content"] == TEXT
    assert time.monotonic() - began < 1.0
    assert len(real.bodies) == 5
    proxy.until(lambda: proxy.metric("shadow_requests_total", model="m", version="2", outcome="ok") >= 1)
    assert proxy.metric("shadow_requests_total", model="m", version="2", outcome="left_out") >= 3
    assert tried.most_at_once == 1


def test_a_failing_shadow_changes_nothing(backends: Any, proxied: Any) -> None:
    model = {"name": "m", "versions": {"1": 1, "2": 0}, "shadow": {"version": "2", "share": 1.0}}
    proxy = proxied({"a": backends(), "b": (backends("garbage"), {"version": "2"})}, models=[model])
    assert proxy.chat(stream=True).status_code == 200
    proxy.until(lambda: proxy.metric("shadow_requests_total", model="m", version="2", outcome="failed") == 1)


def test_a_model_that_is_loaded_is_preferred(backends: Any, proxied: Any) -> None:
    cold, warm = backends(), backends()
    warm.loaded = ("m",)
    proxy = proxied({"a": (cold, {"kind": "ollama"}), "b": (warm, {"kind": "ollama"})})
    proxy.until(lambda: proxy.state("b")["loaded"] is True and proxy.state("a")["loaded"] is False)
    for number in range(6):
        assert proxy.chat(task=str(number)).is_success
    assert (len(cold.bodies), len(warm.bodies)) == (0, 6)


def test_a_server_without_the_model_is_down_and_says_how_to_add_it(backends: Any, proxied: Any) -> None:
    proxy = proxied({"a": (backends(models=("other",)), {"kind": "ollama"})})
    proxy.until(lambda: proxy.state("a")["state"] == "down")
    assert "ollama pull m" in proxy.state("a")["reason"]


def test_a_health_path_decides(backends: Any, proxied: Any) -> None:
    backend = backends()
    proxy = proxied({"a": (backend, {"health": "/api/version"})})
    backend.healthy = False
    proxy.until(lambda: proxy.state("a")["state"] == "down")
    backend.healthy = True
    proxy.until(lambda: proxy.state("a")["state"] == "up")


class _Hook:
    """A server that starts a model server when it is called."""

    def __init__(self, backend: ModelBackend | None, fail: int = 0) -> None:
        self.calls: list[dict[str, str]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.calls.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                failing = len(hook.calls) <= fail
                if backend is not None and not failing:
                    threading.Timer(0.5, backend.start).start()
                self.send_response(500 if failing else 202)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/wake"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.mark.parametrize("failures", [0, 1])
def test_a_burst_wakes_a_sleeping_server_once_and_is_held_for_it(backends: Any, proxied: Any, failures: int) -> None:
    sleeping = backends()
    sleeping.stop()
    woken = ModelBackend(port=sleeping.port)
    hook = _Hook(woken, failures)
    try:
        proxy = proxied({"a": (sleeping, {"wake": {"url": hook.url, "seconds": 15}})}, times={**QUICK, "total": 20.0})
        proxy.until(lambda: proxy.state("a")["state"] in ("down", "ejected"))
        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda _: proxy.chat().status_code, range(6)))
        assert answers == [200] * 6
        assert hook.calls == [{"backend": "a", "model": "m", "version": "1"}] * (1 + failures)
    finally:
        hook.stop()
        woken.stop()


def test_a_wake_that_brings_nothing_holds_requests_for_a_bounded_time(backends: Any, proxied: Any) -> None:
    sleeping = backends()
    sleeping.stop()
    hook = _Hook(None)
    try:
        wake = {"url": hook.url, "seconds": 0.5, "held": 1}
        proxy = proxied({"a": (sleeping, {"wake": wake})})
        proxy.until(lambda: proxy.state("a")["state"] in ("down", "ejected"))
        with ThreadPoolExecutor(3) as threads:
            answers = list(threads.map(lambda _: proxy.chat(), range(3)))
        assert {answer.status_code for answer in answers} == {503}
        assert len(hook.calls) == 1
    finally:
        hook.stop()


def test_a_changed_file_is_taken_over_and_a_wrong_one_is_not(backends: Any, tmp_path: Path) -> None:
    first, second = backends(), backends()
    file = tmp_path / "model-proxy.toml"

    def write(*urls: str, extra: str = "") -> None:
        entries = [
            f'[[backends]]\nname = "b{n}"\nurl = "{url}/v1"\nkind = "openai"\nmodel = "m"\n'
            for n, url in enumerate(urls)
        ]
        file.write_text('[access]\nmode = "open"\n' + "".join(entries) + extra)

    write(first.url)
    proxy = Running(Proxy(read_config(file), None, file)).start()
    try:
        assert proxy.chat().is_success and len(first.bodies) == 1
        write(second.url, extra="weight = 0\n")
        proxy.until(lambda: proxy.metric("config_errors_total") == 1)
        assert proxy.chat().is_success and len(first.bodies) == 2
        write(second.url)
        proxy.until(lambda: proxy.chat().is_success and len(second.bodies) >= 1)
        before = len(first.bodies)
        assert proxy.chat().is_success and len(first.bodies) == before
    finally:
        proxy.stop()


def test_lists_are_of_the_configured_models(backends: Any, proxied: Any) -> None:
    backend = backends(models=("m", "real"))
    backend.loaded = ("real",)
    proxy = proxied({"a": (backend, {"kind": "ollama", "served": "real"})})
    proxy.until(lambda: proxy.state("a")["loaded"] is True)
    assert [one["id"] for one in proxy.get("/v1/models").json()["data"]] == ["m"]
    assert [one["name"] for one in proxy.get("/api/tags").json()["models"]] == ["m:latest"]
    assert proxy.get("/api/tags").json()["models"][0]["digest"] == "a" * 64
    assert [one["name"] for one in proxy.get("/api/ps").json()["models"]] == ["m:latest"]
    assert proxy.get("/api/version").json() == {"version": "0.6.8"}
    assert proxy.post("/api/show", {"model": "m"}).json()["details"] == {"family": "test"}
    assert proxy.get("/healthz").json() == {"status": "ok"}
    assert proxy.get("/readyz").json() == {"status": "ready", "models_up": 1}
    assert "penstock_model_proxy_backend_state" in proxy.get("/metrics").text


def test_a_client_that_sends_no_headers_is_disconnected_and_others_are_served(
    backends: Any, proxied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeadlineProtocol, "header_seconds", 0.1)
    proxy = proxied({"a": (backends("slow"), {})})
    address = urlsplit(proxy.url)
    place = (str(address.hostname), int(address.port or 0))
    with socket.create_connection(place, timeout=20) as silent, socket.create_connection(place, timeout=20) as half:
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-A: ")
        assert proxy.chat().is_success, "an answer may take longer than headers may"
        assert half.recv(1) == b""
        assert silent.recv(1) == b""
