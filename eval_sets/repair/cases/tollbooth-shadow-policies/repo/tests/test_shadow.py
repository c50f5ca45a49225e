from tollbooth import Limiter


def test_what_would_have_been_refused_is_only_counted():
    limiter = Limiter({"/a": "1/hour", "/b": "1/hour"}, shadow={"/a": "2/hour"})
    decisions = [limiter.call("x", "/b", 0) for _ in range(2)]
    assert [one.allowed for one in decisions] == [True, False]
    limiter = Limiter(default="10/hour", shadow={"/a": "1/hour"})
    decisions = [limiter.call("x", "/a", 0) for _ in range(3)]
    assert all(one.allowed for one in decisions)
    assert limiter.usage.shadowed == {("x", "/a"): 2}
    assert [one.left for one in decisions] == [9, 8, 7]
