"""Probing chat models is quick, queries many servers at a time, and never shows a key."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.chat.probe import ChatState, chat_states

KEY = "s3cret-key"


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(600)
        answers: dict[str, tuple[int, Any]] = {
            "/api/tags": (200, {"models": [{"model": "coder:latest", "name": "coder:latest"}]}),
            "/v1/models": (200, {"object": "list", "data": [{"id": "big"}]}),
            "/bare/models": (404, {"error": "no such page"}),
            "/locked/models": (401, {"error": f"wrong key {self.headers.get('Authorization', '')}"}),
            "/odd/models": (200, ["big"]),
        }
        status, body = answers.get(self.path, (500, {"error": "no"}))
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _describe(folder: Path, name: str, url: str, model: str = "big", provider: str = "openai", more: str = "") -> None:
    (folder / name).mkdir(parents=True)
    text = f'provider = "{provider}"\nurl = "{url}"\nmodel = "{model}"\n{more}'
    (folder / name / "chat.toml").write_text(text)


@pytest.mark.parametrize(
    ("place", "model", "provider", "answers", "said"),
    [
        ("", "coder", "ollama", True, "coder at http"),
        ("", "other", "ollama", False, "has no model other:latest (it has coder:latest)"),
        ("/v1", "big", "openai", True, "big at http"),
        ("/v1", "small", "openai", False, "has no model small (it has big)"),
        ("/bare", "big", "openai", True, "does not list its models"),
        ("/odd", "big", "openai", False, "not like the API of openai"),
        ("/broken", "big", "openai", False, "status 500"),
    ],
)
def test_a_model_answers_or_its_state_gives_the_reason(
    address: str, tmp_path: Path, place: str, model: str, provider: str, answers: bool, said: str
) -> None:
    _describe(tmp_path, "mine", f"{address}{place}", model, provider)
    [state] = chat_states(tmp_path, None)
    assert (state.name, state.answers, state.default) == ("mine", answers, False)
    assert said in state.detail


def test_a_key_is_never_shown(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _describe(tmp_path, "mine", f"{address}/locked", more='key_variable = "MY_KEY"\n')
    monkeypatch.delenv("MY_KEY", raising=False)
    assert "set the environment variable MY_KEY" in chat_states(tmp_path, None)[0].detail
    monkeypatch.setenv("MY_KEY", KEY)
    [state] = chat_states(tmp_path, None)
    assert "wrong key Bearer ***" in state.detail
    assert KEY not in str(state)


def test_slow_and_silent_servers_delay_no_other_probe(address: str, tmp_path: Path) -> None:
    for number in range(6):
        _describe(tmp_path, f"slow{number}", f"{address}/slow")
    _describe(tmp_path, "gone", "http://127.0.0.1:9/v1")
    began = time.monotonic()
    states = chat_states(tmp_path, None)
    assert time.monotonic() - began < 300
    assert {state.answers for state in states} == {False}


def test_a_default_without_a_description_and_a_wrong_description_are_both_reported(tmp_path: Path) -> None:
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "chat.toml").write_text("provider = 1\n")
    states = {state.name: state for state in chat_states(tmp_path, "missing", ask=False)}
    assert states["missing"].default
    assert "no chat model 'missing'" in states["missing"].detail
    assert states["wrong"].answers is None
    assert "chat.toml: provider" in states["wrong"].detail


def test_without_chat_models_the_list_is_empty(tmp_path: Path) -> None:
    found: list[ChatState] = chat_states(tmp_path, None)
    assert found == []
