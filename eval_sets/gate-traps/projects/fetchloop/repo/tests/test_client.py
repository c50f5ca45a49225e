import asyncio

import pytest

from fetchloop.client import Client, NotFound, TransientError, first_found, gather_all


class Fake:
    """A transport that fails some times, then answers with the path and its parameters."""

    def __init__(self, failures=0, slow=()):
        self.failures = failures
        self.slow = slow
        self.asked = []

    async def __call__(self, path, params):
        self.asked.append(path)
        if path in self.slow:
            for _ in range(5):
                await asyncio.sleep(0)
        if "missing" in path:
            raise NotFound(path)
        if self.failures:
            self.failures -= 1
            raise TransientError(path)
        return "&".join([path, *(f"{name}={value}" for name, value in params.items())])


async def at_once(seconds):
    pass


def make(fake, **options):
    return Client(fake, pause=at_once, **options)


def test_get():
    assert asyncio.run(make(Fake()).get("/a")) == "/a"


def test_an_answer_is_kept():
    fake = Fake()
    client = make(fake)

    async def twice():
        return [await client.get("/a"), await client.get("/a")]

    assert asyncio.run(twice()) == ["/a", "/a"]
    assert fake.asked == ["/a"]


def test_pages_are_different_answers():
    client = make(Fake())

    async def pages():
        return [await client.get("/list", page=1), await client.get("/list", page=2)]

    assert asyncio.run(pages()) == ["/list&page=1", "/list&page=2"]


def test_retries():
    fake = Fake(failures=2)
    assert asyncio.run(make(fake).get("/a")) == "/a"
    assert len(fake.asked) == 3


def test_gives_up():
    fake = Fake(failures=9)
    with pytest.raises(TransientError):
        asyncio.run(make(fake, retries=1).get("/a"))
    assert len(fake.asked) == 2


def test_nothing_is_told_without_a_retry():
    told = []
    with pytest.raises(TransientError):
        asyncio.run(make(Fake(failures=1), retries=0, on_retry=lambda *what: told.append(what)).get("/a"))
    assert told == []


def test_gather_all():
    assert asyncio.run(gather_all(make(Fake()), ["/a", "/b"])) == ["/a", "/b"]


def test_gather_all_with_a_slow_one():
    fake = Fake(slow=["/a"])
    assert asyncio.run(gather_all(make(fake), ["/a", "/b", "/c"])) == ["/a", "/b", "/c"]


def test_first_found():
    assert asyncio.run(first_found(make(Fake()), ["/a", "/b"])) == "/a"


def test_first_found_goes_on():
    assert asyncio.run(first_found(make(Fake()), ["/missing", "/b"])) == "/b"
