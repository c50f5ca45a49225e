import doctest
from pathlib import Path

import gradebook.marks
from gradebook.marks import average, mark, weighted
from gradebook.ranking import improved, median, ranked
from gradebook.reports import absent, histogram, row


def raises(function, *arguments):
    try:
        function(*arguments)
    except ValueError:
        return True
    return False


def check_marks():
    limits = {92: 1, 81: 2, 67: 3, 50: 4, 30: 5, 0: 6}
    for limit, value in limits.items():
        assert mark(limit) == value and mark(limit / 2, 50) == value
        assert limit == 0 or mark(limit - 0.5) == value + 1
    assert raises(mark, -1) and raises(mark, 101) and not raises(mark, 0, 5)
    assert average([1]) == 1.0 and average([1, 2, 2, 2]) == 1.7 and average([6, 5, 5]) == 5.3 and average([3] * 299 + [2]) == 2.9 and average([]) is None


def check_weighted():
    assert doctest.testmod(gradebook.marks).failed == 0
    assert weighted([(2, 3), (6, 1)]) == 3.0 and weighted([(4, 0)]) is None and weighted([(1, 1)]) == 1.0


def check_ranking():
    assert ranked({}) == [] and ranked({"b": 1, "a": 1}) == [(1, "a"), (1, "b")]
    assert ranked({"a": 0, "b": 5, "c": 5, "d": 9, "e": 5})[-1] == (5, "a")
    assert improved({"a": 1, "b": 1, "c": 1, "d": 3}, {"c": 2, "b": 2, "a": 9, "d": 3}) == ["a", "b", "c"]
    assert improved({"x": 1}, {}) == [] and improved({}, {"x": 1}) == []
    values = [9, 2, 7, 4]
    assert median(values) == 5.5 and values == [9, 2, 7, 4] and median((8,)) == 8 and median([3, 1, 2, 9, 8]) == 3
    assert median([10, 9, 100]) == 10 and raises(median, [])


def check_reports():
    assert row("X", [30, 15, None], 60) == "X: 4, 6, - (5.0)"
    assert row("Y", []) == "Y: " and row("Z", [0, 0]) == "Z: 6, 6 (6.0)"
    assert histogram([]) == dict.fromkeys(range(1, 7), 0) and histogram([6, 6, 1])[6] == 2
    assert absent({}) == [] and absent({"b": [None], "a": [None, None], "c": [0], "d": [None, 5]}) == ["b", "a"]


def check_settings():
    assert Path("pytest.ini").read_text().splitlines()[:2] == ["[pytest]", "testpaths = tests"]


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
