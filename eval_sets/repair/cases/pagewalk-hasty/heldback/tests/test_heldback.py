import random

import pytest

from pagewalk import Client, Store, page_count, shown_pages
from pagewalk.numbers import bounds


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_everything_once_while_things_change(seed, newest_first):
    rng = random.Random(seed)
    start = [(rng.randint(0, 4), f"i{n:02}") for n in range(25)]
    store = Store(start)
    stay = {identity for _, identity in start[:18]}
    found, cursor = [], None
    while True:
        ids, cursor = store.page(cursor, rng.randint(1, 4), newest_first)
        found += ids
        if cursor is None:
            break
        store.remove(rng.choice(start[18:])[1])
        if found[-1] in stay and rng.random() < 0.3:
            store.remove(found[-1])
    assert len(found) == len(set(found))
    assert stay <= set(found)
    times = dict((identity, created) for created, identity in start)
    keys = [(times[identity], identity) for identity in found]
    assert keys == sorted(keys, reverse=newest_first)


def test_pages_are_full():
    for size in range(1, 8):
        store, cursor, sizes = Store([(5, f"i{n}") for n in range(12)]), None, []
        while True:
            ids, cursor = store.page(cursor, size)
            sizes.append(len(ids))
            if cursor is None:
                break
        assert sizes == [size] * (12 // size) + [12 % size] * (12 % size > 0)


@pytest.mark.parametrize("around", [0, 1, 2, 3])
def test_shown_pages_by_their_definition(around):
    for last in range(1, 16):
        for current in range(1, last + 1):
            shown = shown_pages(current, last, around)
            wanted = {n for n in range(1, last + 1) if n in (1, last) or abs(n - current) <= around}
            numbers = [n for n in shown if n is not None]
            assert numbers == sorted(set(numbers))
            assert wanted <= set(numbers)
            for number in set(numbers) - wanted:
                assert {number - 1, number + 1} <= wanted
            for at, number in enumerate(shown):
                if number is None:
                    assert shown[at + 1] - shown[at - 1] > 2
                elif at:
                    assert shown[at - 1] is None or shown[at - 1] == number - 1


def test_last_page_holds_something():
    for items in range(1, 60):
        for size in (1, 7, 20):
            last = page_count(items, size)
            first, final = bounds(last, size, items)
            assert final == items >= first > 0
            assert bounds(last + 1, size, items) == (0, 0)


def waits(*headers, **options):
    answers = [(503, {"Retry-After": text} if text else {}, "") for text in headers] + [(200, {}, "done")]
    slept = []
    client = Client(lambda path, params: answers.pop(0), slept.append, tries=9, **options)
    assert client.get("/") == "done"
    return slept


def test_waits():
    assert waits("", "", "", "", "", "") == [1, 2, 4, 8, 16, 30]
    assert waits("5", "1", "3", "10") == [5, 2, 4, 10]
    assert waits("29", "30", "31", longest=30) == [29, 30, 30]
    assert waits("0", "soon", "", pause=3, longest=5) == [3, 5, 5]
