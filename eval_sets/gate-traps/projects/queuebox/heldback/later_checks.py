from queuebox.jobs import Queue
from queuebox.limits import Limiter, batches
from queuebox.retries import Failed, delays, partition, run


def check_queue():
    for _ in range(5):
        queue = Queue()
        numbers = [queue.add(f"{p}-{n}", p) for n in range(12) for p in (3, 1, 2)]
        assert len(queue) == 36
        assert queue.cancel(numbers[0]) and not queue.cancel(numbers[0]) and not queue.cancel(99)
        assert len(queue) == 35
        wanted = [f"{p}-{n}" for p in (3, 2, 1) for n in range(12)]
        assert queue.drain() == wanted[1:] and len(queue) == 0 and queue.pop() is None
        assert not queue.cancel(numbers[5])
    queue = Queue()
    queue.add(2)
    queue.add("x", 1)
    assert queue.pop() == "x" and queue.pop() == 2 and queue.drain() == []


def check_delays():
    assert delays(1) == [] and delays(0) == [] and delays(3, 5, 3, 7) == [5, 7]
    assert delays(8)[-2:] == [32.0, 60.0] or delays(8) == [1, 2, 4, 8, 16, 32, 60]


def check_run():
    for fails in range(6):
        for tries in range(1, 6):
            calls, waits = [], []

            def job():
                calls.append(1)
                if len(calls) <= fails:
                    raise KeyError(len(calls))
                return len(calls)

            try:
                assert run(job, tries, waits.append) == fails + 1 and fails < tries
            except Failed as error:
                assert fails >= tries and str(error) == f"{tries} tries" and isinstance(error.__cause__, KeyError)
            assert len(calls) == min(tries, fails + 1) and waits == delays(tries)[: len(calls) - 1]


def check_partition():
    def bad():
        raise ValueError("bad")

    results, errors = partition({"x": bad, "y": lambda: None, "z": bad})
    assert results == {"y": None} and sorted(errors) == ["x", "z"] and str(errors["x"]) == "bad"


def check_limiter():
    now = [0.0]
    limiter = Limiter(3, 5, lambda: now[0])
    seen = []
    for step in range(12):
        now[0] = float(step)
        seen.append(limiter.allow())
    assert seen == [True, True, True, False, False] * 2 + [True, True]
    now[0] = 12.0
    assert limiter.wait() == 0
    assert limiter.allow() and limiter.wait() == 3 and not limiter.allow()
    assert Limiter(0, 1, lambda: 0).allow() is False


def check_batches():
    for size in (0, -1):
        try:
            batches([1], size)
        except ValueError as error:
            assert "at least one" in str(error)
            continue
        raise AssertionError(size)
    assert batches(range(4), 2) == [[0, 1], [2, 3]] and batches([], 3) == [] and batches(iter("ab"), 9) == [["a", "b"]]


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
