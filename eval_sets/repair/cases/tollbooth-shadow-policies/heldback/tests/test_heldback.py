from tollbooth import Limiter


def test_shadow_refuses_nothing_and_counts_by_client():
    limiter = Limiter({"/a": "3/hour"}, shadow={"/a/b": "1/hour", "/c": "unlimited"})
    for client in "xxy":
        assert limiter.call(client, "/a/b/c", 0).allowed
    limiter.call("x", "/a", 0)
    limiter.call("x", "/c", 0)
    assert limiter.usage.shadowed == {("x", "/a/b"): 1}
    assert [limiter.call("x", "/a", 0).allowed for _ in range(2)] == [False, False]
    assert not Limiter(default="1/day").usage.shadowed
