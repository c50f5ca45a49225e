import random
from ipaddress import ip_address, ip_network

import pytest

from tollbooth import Bucket, Limiter, client_key


@pytest.mark.parametrize("seed", range(8))
def test_bucket_against_a_slow_one(seed):
    rng = random.Random(seed)
    rate, burst = rng.choice([1, 2, 4, 8]), rng.randint(1, 5)
    bucket = Bucket(rate, burst, 10)
    tick, tokens, since = 10 * 64, burst, 0
    for _ in range(200):
        step = rng.choice([1, 3, 7, 20, 64])
        tick += step
        since += step * rate
        tokens, since = min(burst, tokens + since // 64), since % 64
        count = rng.choice([1, 1, 2])
        wait = bucket.take(tick / 64, count)
        if count <= tokens:
            assert wait == 0
            tokens -= count
        else:
            assert wait == pytest.approx(((count - tokens) * 64 - since) / 64 / rate)


def test_exactly_after_the_wait():
    for rate in (3, 7, 0.1):
        bucket = Bucket(rate, 1, 0)
        bucket.take(0)
        now = 0.01
        wait = bucket.take(now)
        assert wait > 0
        assert bucket.take(now + wait) == 0


def test_give_back():
    bucket = Bucket(1, 2, 0)
    bucket.take(0, 2)
    bucket.give_back(5)
    assert bucket.tokens == 2


def test_limiters_share_nothing():
    many = [Limiter(default="1/day") for _ in range(4)]
    assert all(one.call("c", "/x", 0).allowed for one in many)
    assert many[0].usage.of("c") == (1, 0)
    assert many[0].forget_idle(86400) == 1
    assert [one.call("c", "/x", 1).allowed for one in many[1:]] == [False] * 3
    assert not Limiter({"/r": "1/day"}).call("c", "/x", 0).headers()


def test_networks_of_version_6():
    rng = random.Random(6)
    found = {}
    for _ in range(200):
        groups = [rng.choice([0, 0, 1, 0xdb8]) for _ in range(8)]
        address = ip_address(sum(group << 16 * (7 - at) for at, group in enumerate(groups)) | 1 << 120)
        network = ip_network(f"{address}/64", strict=False)
        for text in (str(address), address.exploded, str(address).upper()):
            key = client_key({}, text)
            assert found.setdefault(network, key) == key
    assert len(set(found.values())) == len(found)


def test_version_6_behind_a_proxy():
    one = client_key({"X-Forwarded-For": "2001:db8::1"}, "::1", ["::1"])
    assert one == client_key({}, "2001:db8:0:0:9::")
    assert one != client_key({}, "2001:db8:0:9::")
