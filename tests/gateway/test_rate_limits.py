"""Limits of requests: for each token, and for each sender of webhooks."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.settings import Settings
from gateway.problems import Refused
from gateway.rates import RateLimit

SLOW = 0.001
"""A rate that refills nothing while a test runs."""


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how many seconds each answer would have been held back."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("gateway.gate.sleep", sleep)
    return pauses


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_allows_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    limit = RateLimit(2.0, 3, clock=clock)
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.take("b") == 0
    clock.now += 0.25
    assert limit.take("a") == 0.25, "asking costs nothing"
    clock.now += 0.25
    assert [limit.take("a") for _ in range(2)] == [0, 0.5]
    clock.now += 1000
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5], "no more than the burst is saved up"


def test_only_so_many_buckets_are_kept_and_those_in_use_stay() -> None:
    limit = RateLimit(SLOW, 1, most_keys=10)
    assert limit.take("busy") == 0
    for number in range(1000):
        assert limit.take(number) == 0
        assert limit.take("busy") > 0
    assert sum(number in limit for number in range(1000)) == 9


def test_a_rate_of_zero_is_no_limit() -> None:
    limit = RateLimit(0, 1)
    assert {limit.take("a") for _ in range(1000)} == {0} and "a" not in limit


def test_a_refusal_says_how_long_to_wait() -> None:
    limit = RateLimit(0.1, 1, clock=Clock())
    limit.require("a", "this token")
    with pytest.raises(Refused, match="this token has used up") as refused:
        limit.require("a", "this token")
    assert refused.value.headers == {"Retry-After": "10"}


def test_a_token_that_has_used_up_its_limit_slows_no_other(
    make_client: Callable[..., TestClient], token_for: Callable[..., dict[str, str]]
) -> None:
    client = make_client(token_rate=SLOW, token_burst=3)
    greedy, modest = token_for("viewer", "greedy"), token_for("viewer", "modest")
    assert [client.get("/tasks", headers=greedy).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    answer = client.get("/tasks", headers=greedy)
    assert answer.json()["code"] == "rate-limit" and "0.001 requests a second" in answer.json()["error"]
    assert 1 <= int(answer.headers["retry-after"]) <= math.ceil(1 / SLOW)
    assert client.get("/tasks", headers=modest).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_a_caller_who_does_not_heed_the_limit_waits_for_its_answers(
    make_client: Callable[..., TestClient],
    token_for: Callable[..., dict[str, str]],
    held: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, greedy = make_client(token_rate=SLOW, token_burst=1), token_for("viewer")
    assert [client.get("/tasks", headers=greedy).status_code for _ in range(3)] == [200, 429, 429]
    assert held == [1.0, 1.0]
    monkeypatch.setattr("gateway.gate.MOST_HELD", 0)
    assert client.get("/tasks", headers=greedy).status_code == 429
    assert client.get("/tasks", headers={"Authorization": "Bearer pst_unknown"}).status_code == 401
    assert held == [1.0, 1.0], "only so many answers are held at once, and no others"


def test_a_refused_token_costs_no_query(
    make_client: Callable[..., TestClient], token_for: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(token_rate=SLOW, token_burst=1)
    known, unknown = token_for("viewer"), {"Authorization": "Bearer pst_unknown"}
    assert [client.get("/tasks", headers=one).status_code for one in (known, unknown)] == [200, 401]

    def fail(*_: Any) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr("gateway.gate.check_token", fail)
    assert [client.get("/tasks", headers=one).status_code for one in (known, unknown)] == [429, 429]


def test_unknown_tokens_do_not_reset_the_limit_of_a_known_one(
    make_client: Callable[..., TestClient], token_for: Callable[..., dict[str, str]]
) -> None:
    client = make_client(token_rate=SLOW, token_burst=1)
    client.app.state.gateway.token_limit = RateLimit(SLOW, 1, most_keys=5)  # type: ignore[attr-defined]
    known = token_for("viewer")
    assert client.get("/tasks", headers=known).status_code == 200
    for number in range(20):
        assert client.get("/tasks", headers={"Authorization": f"Bearer pst_{number}"}).status_code == 401
    assert client.get("/tasks", headers=known).status_code == 429


def test_a_sender_of_webhooks_is_limited_and_what_was_accepted_is_stored(
    make_client: Callable[..., TestClient],
    sender: Any,
    issue: dict[str, Any],
    add_source: Callable[..., None],
    stored: Callable[[str], Any],
) -> None:
    add_source()
    client = make_client(webhook_rate=SLOW, webhook_burst=2)
    for number in range(5):  # nobody without the secret uses up what the sender may send
        refused = client.request("POST", **sender.github(issue, delivery=f"forged-{number}", secret="wrong"))
        assert refused.status_code == 401
    answers = [client.request("POST", **sender.github({}, "ping", f"d-{number}")) for number in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert int(answers[2].headers["retry-after"]) >= 1
    assert stored("SELECT id FROM deliveries ORDER BY id") == [("github:d-0",), ("github:d-1",)]
    other = client.request("POST", **sender.generic({"type": "nothing", "data": {}}))
    assert other.status_code != 429, "another sender has a limit of its own"
    later = make_client(webhook_rate=0)
    assert later.request("POST", **sender.github({}, "ping", "d-2")).status_code == 202
    assert stored("SELECT count(*) FROM deliveries WHERE id LIKE 'github:%'") == [(3,)]


def test_the_limits_are_generous_unless_they_are_set() -> None:
    settings = Settings()
    assert settings.token_burst >= 500 and settings.token_rate >= 50
    assert settings.webhook_burst >= 5000 and settings.webhook_rate >= 500
