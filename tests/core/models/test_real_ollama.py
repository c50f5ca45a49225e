"""The proxy in front of a real Ollama: both dialects, streams that it counts, and what it has in memory."""

from typing import Any

import ollama as ollama_client
import pytest

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]
TIMES = {"connect": 2.0, "first_byte": 300.0, "between": 120.0, "total": 600.0, "queue": 60.0}


def test_both_dialects_streams_and_loaded_state(ollama: Any, ollama_chat: str, proxied: Any) -> None:
    entry = {"kind": "ollama", "model": "small", "served": ollama_chat}
    proxy = proxied({"a": (ollama, entry)}, times=TIMES)
    proxy._client.timeout = 600
    proxy.until(lambda: proxy.get("/api/tags").json()["models"][0]["digest"] != "", 30)
    assert proxy.get("/api/version").json() == ollama_client.Client(ollama.url)._client.get("/api/version").json()

    client = ollama_client.Client(proxy.url, timeout=600)
    asked: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "Say hello."}]}
    parts = list(client.chat(**asked, options={"num_predict": 6, "num_ctx": 256}, stream=True))
    assert parts[-1].done and 1 <= (parts[-1].eval_count or 0) <= 6

    def counted() -> float:
        return float(proxy.metric("tokens_total", model="small", version="1", kind="completion"))

    # A stream is counted once it has ended, which its client may see first.
    proxy.until(lambda: counted() > 0, 10)
    before = counted()
    assert before == parts[-1].eval_count

    answer = proxy.chat("small", stream=True, max_tokens=4)
    assert answer.text.rstrip().endswith("data: [DONE]") and "usage" not in answer.text
    proxy.until(lambda: counted() > before, 10)
    assert 1 <= counted() - before <= 4
    proxy.until(lambda: proxy.state("a")["loaded"] is True, 30)
    assert [one["model"] for one in proxy.get("/api/ps").json()["models"]] == ["small:latest"]
    assert client.show("small").details is not None


def test_embeddings_are_those_of_the_server(ollama: Any, proxied: Any) -> None:
    entry = {"kind": "ollama", "model": "vectors", "served": "all-minilm-l6-v2"}
    proxy = proxied({"a": (ollama, entry)}, times=TIMES)
    proxy._client.timeout = 600
    direct = ollama_client.Client(ollama.url, timeout=600).embed("all-minilm-l6-v2", ["a text"]).embeddings
    through = ollama_client.Client(proxy.url, timeout=600).embed("vectors", ["a text"]).embeddings
    by_openai = proxy.post("/v1/embeddings", {"model": "vectors", "input": ["a text"]}).json()["data"][0]["embedding"]
    assert through == direct and by_openai == pytest.approx(list(direct[0]), abs=1e-5)
