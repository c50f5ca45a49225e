from memodeck.cache import TTLCache, memoize


def made(capacity=2, ttl=10):
    now = [0]
    return TTLCache(capacity, ttl, lambda: now[0]), now


def check_recency():
    cache, now = made()
    cache.set("a", 1)
    now[0] = 8
    assert cache.get("a") == 1
    now[0] = 11
    assert "a" not in cache and cache.get("a") is None
    cache, now = made()
    cache.set("a", 1)
    cache.set("b", 2)
    cache.get("a")
    cache.set("c", 3)
    assert "a" in cache and "b" not in cache
    cache, now = made(1)
    cache.set("a", 1)
    cache.set("b", 2)
    assert len(cache) == 1 and cache.get("b") == 2 and cache.get("a", 5) == 5


def check_pop():
    cache, now = made()
    cache.set("a", None)
    assert cache.pop("a") is None and cache.pop("a", 3) == 3
    cache.set("a", 1)
    now[0] = 10
    for key in ("a", "zzz"):
        try:
            cache.pop(key)
            raise AssertionError
        except KeyError:
            pass
    assert cache.pop("a", None) is None


def check_length():
    cache, now = made(5)
    for key in range(7):
        cache.set(key, key)
        now[0] += 1
    assert len(cache) == 5
    now[0] = 14
    assert len(cache) == 2


def check_memoize():
    calls = []

    @memoize(TTLCache())
    def f(*args, **kwargs):
        calls.append(1)
        return args, kwargs

    assert f(1, scale=2) == ((1,), {"scale": 2}) and f(1, shift=2) == ((1,), {"shift": 2}) and f(1, 2) == ((1, 2), {})
    assert f(a=1, b=2)[1] == f(b=2, a=1)[1] and len(calls) == 4


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
