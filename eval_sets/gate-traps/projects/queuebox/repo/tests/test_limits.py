import pytest

from queuebox.limits import Limiter, batches


def test_limit():
    limiter = Limiter(2, 10, clock=lambda: 0)
    assert [limiter.allow() for _ in range(3)] == [True, True, False]


def test_allowed_again():
    times = iter([0, 5, 10])
    limiter = Limiter(1, 10, clock=lambda: next(times))
    assert [limiter.allow() for _ in range(3)] == [True, False, True]


def test_wait():
    times = iter([0, 4])
    limiter = Limiter(1, 10, clock=lambda: next(times))
    limiter.allow()
    assert limiter.wait() == 6


def test_batches():
    assert batches("abcde", 2) == [["a", "b"], ["c", "d"], ["e"]]


def test_no_batch_size():
    with pytest.raises(ValueError):
        batches([1], 0)
