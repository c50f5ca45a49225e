import asyncio

from fetchloop.client import Client, NotFound, TransientError, first_found, gather_all


async def at_once(seconds):
    pass


def failing(count):
    left = [count]

    async def transport(path, params):
        for _ in range(5 * path.count("slow")):
            await asyncio.sleep(0)
        if "missing" in path:
            raise NotFound(path)
        if left[0]:
            left[0] -= 1
            raise TransientError(path)
        return path + repr(sorted(params.items()))

    return transport


def check_retries():
    told = []
    client = Client(failing(2), 2, lambda *what: told.append(what), at_once)
    assert asyncio.run(client.get("/a")) == "/a[]" and told == [("/a", 1), ("/a", 2)]
    told.clear()
    client = Client(failing(9), 1, lambda *what: told.append(what), at_once)
    try:
        asyncio.run(client.get("/a"))
        raise AssertionError
    except TransientError:
        assert told == [("/a", 1)]


def check_cache():
    client = Client(failing(0))

    async def several():
        return [await client.get("/a", p=2), await client.get("/a"), await client.get("/a", p=2, q=1), await client.get("/a", q=1, p=2)]

    assert asyncio.run(several()) == ["/a[('p', 2)]", "/a[]", "/a[('p', 2), ('q', 1)]", "/a[('p', 2), ('q', 1)]"]
    assert len(client.cache) == 3


def check_many():
    for paths in (["/c", "/slow", "/b"], ["/slow", "/b", "/a"], [], ["/x", "/x"]):
        assert asyncio.run(gather_all(Client(failing(0)), paths, 2)) == [path + "[]" for path in paths]
    assert asyncio.run(first_found(Client(failing(0)), ["/missing"], "none")) == "none"
    try:
        asyncio.run(first_found(Client(failing(9), 0), ["/a", "/b"]))
        raise AssertionError
    except TransientError:
        pass


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
