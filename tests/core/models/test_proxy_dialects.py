"""Requests in Ollama's dialect for OpenAI-compatible servers, the platform's own clients, and Kubernetes' scale."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import ollama
import pytest

from core.chat import ChatSpec, Message, Role, open_chat_spec
from core.chat.conformance import CHECKS as CHAT_CHECKS
from core.embedding.served import ServedEmbedder
from core.models.accounts import Account
from core.models.config import Backend, Deployment
from core.models.wake import DeploymentWaker, WakeFailed
from tests.chat_server import ChatServer
from tests.model_backend import TEXT
from tests.model_server import ModelServer

BACKEND = Backend.model_validate({"name": "a", "url": "http://127.0.0.1:1/v1", "kind": "openai", "model": "m"})


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_of_ollamas_client_is_answered_by_an_openai_server(backends: Any, proxied: Any, stream: bool) -> None:
    backend = backends()
    proxy = proxied({"a": backend})
    client = ollama.Client(proxy.url)
    asked: dict[str, Any] = {
        "model": "m",
        "messages": [{"role": "user", "content": "count"}],
        "options": {"num_predict": 9, "temperature": 0, "num_ctx": 4096},
        "format": {"type": "object"},
    }
    if stream:
        parts = list(client.chat(**asked, stream=True))
        text, last = "".join(part.message.content or "" for part in parts), parts[-1]
    else:
        last = client.chat(**asked)
        text = last.message.content or ""
    assert text == TEXT
    assert (last.done, last.done_reason, last.prompt_eval_count, last.eval_count) == (True, "stop", 11, 5)
    path, sent = backend.bodies[0]
    assert path == "/v1/chat/completions"
    assert (sent["max_tokens"], sent["temperature"]) == (9, 0) and "options" not in sent
    assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_embeddings_of_ollamas_client_are_answered_by_an_openai_server(backends: Any, proxied: Any) -> None:
    proxy = proxied({"a": backends()})
    found = ollama.Client(proxy.url).embed("m", ["x", "y"])
    assert found.embeddings == [[0.0, 1.0], [1.0, 1.0]] and found.prompt_eval_count == 7


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        ("/api/generate", {"prompt": "x"}, "/api/generate is answered by Ollama servers only"),
        ("/api/embeddings", {"prompt": "x"}, "/v1/embeddings"),
        ("/api/show", {}, "/v1/models"),
        ("/api/chat", {"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]}, "tools"),
        ("/api/chat", {"messages": [{"role": "user", "content": "x", "images": ["x"]}]}, "messages.0.images"),
        ("/api/chat", {"messages": [{"role": "tool", "content": "x"}]}, "messages.0"),
        ("/api/chat", {"messages": []}, "messages"),
        ("/api/chat", {"messages": [{"role": "user", "content": "x"}], "options": {"mirostat": 1}}, "options.mirostat"),
        ("/api/chat", {"messages": [{"role": "user", "content": "x"}], "format": 3}, "format"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(
    backends: Any, proxied: Any, path: str, body: dict[str, Any], part: str
) -> None:
    backend = backends()
    answer = proxied({"a": backend}).post(path, {"model": "m", **body})
    assert answer.status_code == 400 and part in answer.json()["error"]
    assert not backend.bodies


def test_what_only_ollama_can_answer_goes_to_ollama(backends: Any, proxied: Any) -> None:
    openai, native = backends(), backends()
    proxy = proxied({"a": openai, "b": (native, {"kind": "ollama"})})
    for number in range(4):
        answer = proxy.post("/api/generate", {"model": "m", "prompt": "x", "stream": False, "n": number})
        assert answer.json()["response"] == TEXT
    assert (len(openai.bodies), len(native.bodies)) == (0, 4)


def test_openais_paths_are_answered_by_ollama_servers_as_they_are(backends: Any, proxied: Any) -> None:
    backend = backends()
    proxy = proxied({"a": (backend, {"kind": "ollama"})})
    assert proxy.chat().json()["choices"][0]["message"]["content"] == TEXT
    assert backend.bodies[0][0] == "/v1/chat/completions"


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    server = ChatServer()
    yield server
    server.stop()


@pytest.mark.parametrize("provider", ["openai", "ollama"])
@pytest.mark.parametrize("check", CHAT_CHECKS, ids=lambda check: check.__name__)
def test_the_platforms_chat_client_works_through_the_proxy(
    chat_server: ChatServer, proxied: Any, provider: str, check: Any
) -> None:
    entry = {"kind": provider, "model": "coder", "served": "scripted"}
    proxy = proxied({"a": (chat_server, entry)})
    spec = chat_server.spec(provider)
    url = proxy.url if provider == "ollama" else f"{proxy.url}/v1"
    if provider == "ollama":
        proxy.until(lambda: proxy.get("/api/tags").json()["models"][0]["digest"] != "")
    through = spec.model_validate({**spec.model_dump(), "url": url, "model": "coder"})
    check(lambda: open_chat_spec(through))
    assert chat_server.requests or check.__name__ == "check_identity"


@pytest.mark.parametrize("provider", ["openai", "ollama"])
def test_the_platforms_chat_client_names_its_task_to_the_proxy_only_where_it_should(
    chat_server: ChatServer, backends: Any, proxied: Any, provider: str
) -> None:
    backend = backends()
    proxy = proxied({"a": (backend, {"kind": provider}), "b": (backends(), {"kind": provider})})
    # A server that is not known to be up yet, or busy, is not what a task sticks to.
    proxy.until(lambda: all(proxy.state(name)["state"] == "up" for name in ("a", "b")))
    if provider == "ollama":
        proxy.until(lambda: proxy.get("/api/tags").json()["models"][0]["digest"] != "")
    url = proxy.url if provider == "ollama" else f"{proxy.url}/v1"
    spec = chat_server.spec(provider).model_dump() | {"url": url, "model": "m"}
    accounts: list[Account] = []
    proxy.proxy.accounts.add = accounts.append
    for names_task in (True, False):
        model = open_chat_spec(ChatSpec.model_validate({**spec, "names_task": names_task}), task="task-7")
        for _ in range(3):
            model.complete([Message(Role.USER, "count")])
    proxy.until(lambda: len(accounts) == 6)
    assert [one.task for one in accounts] == ["task-7"] * 3 + [None] * 3
    assert len({one.backend for one in accounts[:3]}) == 1
    assert not any("Penstock" in name for sent in backend.headers for name in sent)


@pytest.mark.parametrize("provider", ["openai", "ollama"])
def test_the_platforms_embedding_client_works_through_the_proxy(proxied: Any, provider: str) -> None:
    server = ModelServer()
    try:
        proxy = proxied({"a": (server, {"kind": provider, "model": "vectors", "served": "hashing"})})
        url = proxy.url if provider == "ollama" else f"{proxy.url}/v1"
        if provider == "ollama":
            proxy.until(lambda: proxy.get("/api/tags").json()["models"][0]["digest"] == "a" * 64)
        direct = ServedEmbedder(server.spec(provider))
        through = ServedEmbedder(server.spec(provider, url=url, model="vectors"))
        texts = ["def total(x)", "return x"]
        assert (through.embed_documents(texts) == direct.embed_documents(texts)).all()
    finally:
        server.stop()


class _ClusterApi:
    """The `scale` of one Deployment, as the API of Kubernetes serves it (autoscaling/v1 Scale)."""

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas
        self.version = 7
        self.asked: list[tuple[str, str, str | None]] = []
        self.conflicts = 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200)

            def do_PATCH(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.headers["Content-Type"] == "application/merge-patch+json"
                if api.conflicts or body["metadata"]["resourceVersion"] != str(api.version):
                    api.conflicts -= 1
                    return self._answer(409)
                api.replicas, api.version = body["spec"]["replicas"], api.version + 1
                return self._answer(200)

            def _answer(self, status: int) -> None:
                api.asked.append((self.command, self.path, self.headers["Authorization"]))
                spec = {"replicas": api.replicas} if api.replicas else {}
                value = {"kind": "Scale", "metadata": {"resourceVersion": str(api.version)}, "spec": spec}
                raw = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("cluster-token\n")
    return tmp_path


async def _wake(api: _ClusterApi, account: Path) -> None:
    deployment = Deployment(namespace="models", name="ollama-coder-1")
    await DeploymentWaker(deployment, account, api.url).wake(BACKEND)


@pytest.mark.parametrize(("before", "after", "calls"), [(0, 1, 2), (1, 1, 1), (5, 5, 1)])
def test_a_deployment_is_scaled_from_zero_to_one_and_never_down(
    account: Path, before: int, after: int, calls: int
) -> None:
    api = _ClusterApi(before)
    try:
        asyncio.run(_wake(api, account))
        assert api.replicas == after and len(api.asked) == calls
        path = "/apis/apps/v1/namespaces/models/deployments/ollama-coder-1/scale"
        assert {one[1:] for one in api.asked} == {(path, "Bearer cluster-token")}
    finally:
        api.stop()


def test_a_scaler_that_is_faster_is_a_conflict_that_is_said(account: Path, tmp_path: Path) -> None:
    api = _ClusterApi(0)
    api.conflicts = 1
    try:
        with pytest.raises(WakeFailed, match="409"):
            asyncio.run(_wake(api, account))
        with pytest.raises(WakeFailed, match="must run in the cluster"):
            asyncio.run(_wake(api, tmp_path / "none"))
    finally:
        api.stop()
