import pytest

from queuebox.retries import Failed, delays, partition, run


def failing(times):
    left = [times]

    def job():
        if left[0]:
            left[0] -= 1
            raise OSError("busy")
        return "done"

    return job


def test_delays():
    assert delays(4) == [1.0, 2.0, 4.0]


def test_longest_delay():
    assert delays(5, first=20.0)[-1] == 60.0


def test_second_try():
    waits = []
    assert run(failing(1), pause=waits.append) == "done"
    assert waits == [1.0]


def test_given_up():
    with pytest.raises(Failed, match="3 tries"):
        run(failing(3))


def test_partition():
    results, errors = partition({"a": failing(0), "b": failing(1)})
    assert results == {"a": "done"}
    assert list(errors) == ["b"]
