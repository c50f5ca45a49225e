from netprobe.states import availability, outages, state


def test_up():
    assert state([True, True, True]) == "up"


def test_one_failure_is_not_down():
    assert state([True, True, True, False]) == "up"


def test_down():
    assert state([True, True, True, False, False, False]) == "down"


def test_too_few():
    assert state([False, False]) == "unknown"


def test_availability():
    assert availability([True, True, False]) == 66.67


def test_no_results():
    assert availability([]) is None


def test_outages():
    assert outages([True, False, False, True, False]) == [2, 1]
