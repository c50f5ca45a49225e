from queuebox.jobs import Queue


def test_priority():
    queue = Queue()
    for name, priority in (("low", 1), ("high", 9), ("middle", 5)):
        queue.add(name, priority)
    assert queue.drain() == ["high", "middle", "low"]


def test_first_in_first_out():
    queue = Queue()
    for name in ("c", "a", "b"):
        queue.add(name)
    assert queue.drain() == ["c", "a", "b"]


def test_cancel():
    queue = Queue()
    number = queue.add("a")
    queue.add("b")
    assert queue.cancel(number)
    assert len(queue) == 1
    assert queue.drain() == ["b"]


def test_cancel_twice():
    queue = Queue()
    number = queue.add("a")
    queue.cancel(number)
    assert not queue.cancel(number)


def test_pop_of_an_empty_queue():
    assert Queue().pop() is None
