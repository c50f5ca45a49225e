import pytest

from tollbooth import Bucket


def test_burst_then_wait():
    bucket = Bucket(rate=2, burst=3, now=0)
    assert [bucket.take(0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(0) == pytest.approx(0.5)
    assert bucket.take(0.5) == 0


def test_never_more_than_the_burst():
    bucket = Bucket(rate=10, burst=2, now=0)
    assert [bucket.take(100) for _ in range(3)][:2] == [0, 0]
    assert bucket.take(100) > 0


def test_impatient_client():
    bucket = Bucket(rate=1, burst=1, now=0)
    assert bucket.take(0) == 0
    allowed = [bucket.take(0.3 * n) == 0 for n in range(1, 11)]
    assert sum(allowed) >= 2
