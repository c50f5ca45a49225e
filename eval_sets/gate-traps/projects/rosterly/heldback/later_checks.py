import sys

sys.path.insert(0, "src")
from rosterly.crew import Person, assign, candidates
from rosterly.rotation import rotation, swapped, until
from rosterly.spans import gaps, hours, merged, overlap


def check_spans():
    import random

    chance = random.Random(7)
    for _ in range(300):
        spans = [(a, a + chance.randrange(6)) for a in (chance.randrange(30) for _ in range(chance.randrange(6)))]
        covered = {hour for start, end in spans for hour in range(start, end)}
        joined = merged(spans)
        assert {hour for start, end in joined for hour in range(start, end)} == covered
        assert all(a[1] < b[0] for a, b in zip(joined, joined[1:])) and all(a < b for a, b in joined)
        assert hours(spans) == len(covered)
        whole = (chance.randrange(20), 20)
        free = gaps(spans, whole)
        assert {hour for start, end in free for hour in range(start, end)} == set(range(*whole)) - covered
        assert all(a < b for a, b in free)
    assert overlap((1, 5), (2, 3)) == (2, 3) and overlap((5, 9), (1, 5)) is None and overlap((1, 1), (0, 4)) is None


def check_crew():
    ann = Person("Ann", shifts=[(20, 30)])
    assert [ann.free((a, a + 1)) for a in (8, 9, 40, 41)] == [True, False, False, True]
    assert Person("Bob").free((0, 1)) and Person("Bob").shifts is not Person("Cas").shifts
    assert ann.worked((0, 20)) == 0 and ann.worked((25, 99)) == 5
    assert Person("D", shifts=[(0, 4), (2, 6)]).worked((0, 9)) == 6
    crew = [Person("b", shifts=[(0, 1)]), Person("a", shifts=[(0, 1)]), Person("c", frozenset("x"), [(0, 9)])]
    assert [one.name for one in candidates(crew, (50, 51))] == ["a", "b", "c"]
    assert [one.name for one in candidates(crew, (5, 6))] == [] and [o.name for o in candidates(crew, (50, 51), "x")] == ["c"]
    assert assign([Person("p"), Person("q")], [(0, 8), (19, 20), (40, 41), (40, 41), (41, 42)]) == ["p", "q", "q", "p", None]
    assert assign([], [(0, 1)]) == [None]


def check_rotation():
    assert rotation([], 3) == [] and rotation(["x"], 3, 9) == ["x"] * 3 and rotation("ab", 0) == [] and rotation(list("abc"), 5, 1) == list("bcabc")
    assert swapped([], "a", "b") == [] and swapped(list("abab"), "a", "b") == list("baba")
    assert swapped(["a", "c"], "a", "b") == ["b", "c"]
    names = ["a", "b", "c"]
    assert [until(names, name, 4) for name in names] == [2, 0, 1]
    for none in ((names, "z"), ([], "a")):
        try:
            until(*none)
        except LookupError:
            continue
        raise AssertionError(none)


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
