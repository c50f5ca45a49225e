"""What callers get through the proxy from servers that are honest, slow, dying, failing, hanging or strange."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.model_backend import TEXT


def _events(answer: httpx.Response) -> list[Any]:
    found = []
    for event in answer.text.split("\n\n"):
        if event.startswith("data: "):
            found.append(event[6:] if event[6:] == "[DONE]" else json.loads(event[6:]))
    return found


def _text(answer: httpx.Response) -> str:
    events = [event for event in _events(answer) if isinstance(event, dict)]
    return "".join(event["choices"][0]["delta"]["content"] for event in events if event.get("choices"))


def test_an_answer_is_passed_on_as_it_is(backends: Any, proxied: Any) -> None:
    backend = backends()
    proxy = proxied({"a": (backend, {"served": "real-name"})})
    answer = proxy.chat(temperature=0.5)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == TEXT
    assert backend.bodies[0][1]["model"] == "real-name"
    assert backend.bodies[0][1]["temperature"] == 0.5
    assert answer.headers["x-penstock-model"] == "m"


def test_a_body_that_needs_no_change_reaches_the_server_byte_for_byte(backends: Any, proxied: Any) -> None:
    backend = backends()
    proxy = proxied({"a": backend})
    raw = b'{ "model":"m","messages":[{"role":"user","content":"\\u00e9 1.0"}], "top_p":1.0 }'
    httpx.post(f"{proxy.url}/v1/chat/completions", content=raw)
    assert backend.headers[0]["Content-Length"] == str(len(raw))


def test_a_stream_arrives_piece_by_piece(backends: Any, proxied: Any) -> None:
    proxy = proxied({"a": backends("slow")})
    body = {"model": "m", "messages": [], "stream": True}
    came = []
    with httpx.stream("POST", f"{proxy.url}/v1/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            if line:
                came.append(time.monotonic())
    assert len(came) == 6
    assert came[-1] - came[0] > 0.15


def test_tokens_of_a_stream_are_counted_by_the_server_though_the_caller_did_not_ask(
    backends: Any, proxied: Any
) -> None:
    backend = backends()
    proxy = proxied({"a": backend})
    answer = proxy.chat(stream=True)
    assert _text(answer) == TEXT
    assert _events(answer)[-1] == "[DONE]"
    assert not any("usage" in event for event in _events(answer) if isinstance(event, dict))
    assert backend.bodies[0][1]["stream_options"] == {"include_usage": True}
    assert proxy.metric("tokens_total", model="m", version="1", kind="prompt") == 11
    asked = proxy.chat(stream=True, stream_options={"include_usage": True})
    assert any("usage" in event for event in _events(asked) if isinstance(event, dict))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "behaviour", ["500", "503", "429", "404", "401", "dies-early", "hangs", "garbage", "wrong-dialect"]
)
def test_another_server_answers_when_one_fails_before_the_first_token(
    backends: Any, proxied: Any, behaviour: str, stream: bool
) -> None:
    bad, good = backends(behaviour), backends()
    times = {"connect": 1.0, "first_byte": 0.4, "between": 0.5, "total": 8.0, "queue": 1.0}
    if behaviour == "hangs" and not stream:
        pytest.skip("a whole answer may take as long as the request")
    proxy = proxied({"a": bad, "b": good}, times=times)
    for number in range(6):
        answer = proxy.chat(stream=stream, task=f"task-{number}")
        assert answer.status_code == 200, answer.text
        assert (_text(answer) if stream else answer.json()["choices"][0]["message"]["content"]) == TEXT
    assert good.finished == 6


def test_an_error_as_the_first_event_of_a_stream_is_a_failure_of_the_server(backends: Any, proxied: Any) -> None:
    proxy = proxied({"a": backends("error-event"), "b": backends()})
    for number in range(4):
        assert _text(proxy.chat(stream=True, task=str(number))) == TEXT


def test_a_stream_that_dies_is_not_replayed_and_says_that_it_is_not_whole(backends: Any, proxied: Any) -> None:
    dying, good = backends("dies"), backends()
    proxy = proxied({"a": (dying, {"weight": 1000}), "b": good})
    got = b""
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream(
            "POST", f"{proxy.url}/v1/chat/completions", json={"model": "m", "messages": [], "stream": True}
        ) as answer,
    ):
        assert answer.status_code == 200
        for piece in answer.iter_bytes():
            got += piece
    assert b"three" in got and b"[DONE]" not in got
    assert json.loads(got.strip().split(b"\n\n")[-1].removeprefix(b"data: "))["error"]["code"] == "broken_off"
    assert len(dying.bodies) == 1 and not good.bodies
    assert proxy.metric("requests_total", model="m", version="1", outcome="broken") == 1


@pytest.mark.parametrize("behaviour", ["stalls", "endless"])
def test_a_stream_that_stops_without_its_end_is_broken_off(backends: Any, proxied: Any, behaviour: str) -> None:
    proxy = proxied({"a": backends(behaviour)})
    with pytest.raises(httpx.RemoteProtocolError):
        proxy.chat(stream=True)


def test_a_stream_ends_with_the_time_of_its_request_though_tokens_come(backends: Any, proxied: Any) -> None:
    proxy = proxied({"a": backends("slow")}, times={"total": 0.13})
    with pytest.raises(httpx.RemoteProtocolError):
        proxy.chat(stream=True)


def test_a_trace_context_is_passed_on_and_a_strange_one_is_not(backends: Any, proxied: Any) -> None:
    backend = backends()
    proxy = proxied({"a": backend})
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for value in (trace.encode(), b"\xe9 odd"):
        answer = httpx.post(
            f"{proxy.url}/v1/chat/completions", content=b'{"model":"m"}', headers={b"traceparent": value}
        )
        assert answer.status_code == 200
    assert [sent.get("traceparent") for sent in backend.headers] == [trace, None]


def test_a_whole_answer_that_breaks_off_is_asked_of_another_server(backends: Any, proxied: Any) -> None:
    proxy = proxied({"a": (backends("dies"), {"weight": 1000}), "b": backends()})
    assert proxy.chat().status_code == 200


def test_a_refusal_of_the_request_is_the_callers(backends: Any, proxied: Any) -> None:
    first, second = backends("400"), backends("400")
    proxy = proxied({"a": first, "b": second})
    answer = proxy.chat()
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "out of luck"
    assert len(first.bodies) + len(second.bodies) == 1


def test_a_request_that_every_server_fails_ejects_none_of_them(backends: Any, proxied: Any) -> None:
    """A prompt that crashes a model must not take all its servers away from the others."""
    servers = {name: backends("500") for name in "abc"}
    proxy = proxied(servers)
    for _ in range(10):
        answer = proxy.chat()
        assert answer.status_code == 502
        assert "answers 500" in answer.json()["error"]["message"]
    assert {proxy.state(name)["state"] for name in servers} == {"up"}


def test_a_server_that_fails_fast_attracts_no_load(backends: Any, proxied: Any) -> None:
    failing, good = backends("500"), backends("slow")
    proxy = proxied({"a": failing, "b": (good, {"concurrency": 16})})
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: proxy.chat().status_code, range(60)))
    assert answers == [200] * 60
    assert len(failing.bodies) < 20
    assert proxy.metric("backend_ejections_total", backend="a") >= 1


def test_an_ejected_server_is_tried_again_and_taken_back(backends: Any, proxied: Any) -> None:
    flaky, good = backends("500"), backends()
    proxy = proxied({"a": flaky, "b": good})
    numbers = iter(range(1000))
    proxy.until(lambda: proxy.chat(task=str(next(numbers))).is_success and proxy.state("a")["state"] == "ejected")
    flaky.behaviour = "honest"
    proxy.until(lambda: proxy.chat().is_success and proxy.state("a")["state"] == "up")
    assert flaky.finished >= 1


def test_a_task_stays_with_its_server(backends: Any, proxied: Any) -> None:
    servers = {name: backends() for name in "abc"}
    proxy = proxied(servers)
    for number in range(12):
        for _ in range(3):
            proxy.chat(task=f"task-{number}")
    counts = [len(server.bodies) for server in servers.values()]
    assert all(count % 3 == 0 for count in counts) and sum(counts) == 36
    assert max(counts) < 36


def test_a_caller_who_goes_away_frees_the_server(backends: Any, proxied: Any) -> None:
    backend = backends("stalls")
    proxy = proxied({"a": backend}, times={"between": 30.0, "total": 60.0})
    with httpx.stream(
        "POST", f"{proxy.url}/v1/chat/completions", json={"model": "m", "messages": [], "stream": True}
    ) as answer:
        arriving = answer.iter_bytes()
        next(arriving)
        assert proxy.state("a")["in_flight"] == 1
    proxy.until(lambda: proxy.state("a")["in_flight"] == 0)
    assert proxy.metric("requests_total", model="m", version="1", outcome="gone") == 1
    assert proxy.metric("tokens_total", model="m", version="1", kind="completion") >= 1


def test_an_answer_larger_than_the_limit_is_refused(backends: Any, proxied: Any) -> None:
    proxy = proxied({"a": backends("huge")}, most_answer_bytes=1 << 20)
    assert proxy.chat().status_code == 502
    assert proxied({"a": backends("huge")}).chat().status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (b"{", 400, "not JSON"),
        (b"[1]", 400, "not a JSON object"),
        (b'{"messages":[]}', 400, "model: is missing"),
        (b'{"model":"x"}', 404, "there is no model 'x'"),
        (b'{"model":"m@9","messages":[]}', 404, "version 9 of model m does not exist"),
        (b'{"model":"m","stream":"yes"}', 400, "stream: must be true or false"),
        (b'{"model":"m","x":NaN}', 400, "NaN"),
        (b'{"model":"m","x":' + b"[" * 100_000, 400, "not JSON"),
    ],
)
def test_a_wrong_request_is_named(backends: Any, proxied: Any, body: bytes, status: int, part: str) -> None:
    proxy = proxied({"a": backends()})
    answer = httpx.post(f"{proxy.url}/v1/chat/completions", content=body)
    assert (answer.status_code, part in answer.json()["error"]["message"]) == (status, True), answer.text


def test_a_large_body_and_unknown_paths_are_refused(backends: Any, proxied: Any) -> None:
    proxy = proxied({"a": backends()}, most_body_bytes=2000)
    assert proxy.chat(padding="x" * 3000).status_code == 413
    pieces = iter([b'{"model":"m","x":"', b"x" * 4000, b'"}'])
    assert httpx.post(f"{proxy.url}/v1/chat/completions", content=pieces).status_code == 413
    assert proxy.post("/api/pull", {"model": "m"}).status_code == 403
    assert "docs/model-proxy.md" in proxy.get("/v1/nothing").text
    assert proxy.get("/v1/chat/completions").status_code == 405
