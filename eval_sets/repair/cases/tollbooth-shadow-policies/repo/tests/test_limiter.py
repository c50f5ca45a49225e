import pytest

from tollbooth import BadPolicy, Limiter, parse_policy


def test_policies():
    policy = parse_policy("5 / second burst 20")
    assert (policy.count, policy.seconds, policy.burst) == (5, 1, 20)
    assert parse_policy("100/10 minutes").seconds == 600
    assert parse_policy("Unlimited") is None


@pytest.mark.parametrize("text", ["", "5", "5/week", "0/second", "-1/second"])
def test_bad_policies(text):
    with pytest.raises(BadPolicy):
        parse_policy(text)


def test_longest_path_counts():
    limiter = Limiter({"/api": "1/hour", "/api/search": "2/hour"})
    assert [limiter.call("a", "/api/search/x", 0).allowed for _ in range(3)] == [True, True, False]
    assert limiter.call("a", "/api/other", 0).allowed
    assert limiter.call("a", "/elsewhere", 0).allowed
    assert limiter.call("a", "/apis", 0).allowed


def test_two_limiters_do_not_know_each_other():
    inner, outer = Limiter(default="1/hour"), Limiter(default="1/hour")
    assert inner.call("a", "/", 0).allowed
    assert outer.call("a", "/", 0).allowed
    assert not inner.call("a", "/", 0).allowed


def test_headers():
    limiter = Limiter(default="1/minute")
    assert limiter.call("a", "/", 0).headers() == {"X-RateLimit-Remaining": "0"}
    assert limiter.call("a", "/", 0.5).headers() == {"X-RateLimit-Remaining": "0", "Retry-After": "60"}


def test_usage():
    limiter = Limiter({"/a": "1/hour"}, clients={"vip": "unlimited"})
    for client in ("x", "x", "vip", "vip", "y"):
        limiter.call(client, "/a", 0)
    assert limiter.usage.of("x") == (1, 1)
    assert limiter.usage.busiest(2) == [("vip", 2), ("x", 1)]


def test_idle_buckets_are_dropped():
    limiter = Limiter(default="1/second")
    limiter.call("a", "/", 0)
    limiter.call("b", "/", 5)
    assert limiter.forget_idle(5.5) == 1
