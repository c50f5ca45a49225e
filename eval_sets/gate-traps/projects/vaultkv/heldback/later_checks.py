import json

from vaultkv.log import LogError, compacted, line, replay
from vaultkv.store import Store
from vaultkv.transactions import Transaction


def check_store():
    now = [0]
    store = Store(lambda: now[0])
    store.set("a", 1, ttl=3)
    store.set("b", 2, ttl=0)
    store.set("ab", 3)
    assert store.keys() == ["a", "ab"] and store.keys("a") == ["a", "ab"] and store.keys("ab") == ["ab"]
    assert store.keys("z") == [] and store.get("b", 9) == 9 and not store.delete("b")
    now[0] = 2
    assert store.increase("a") == 2 and store.get("a") == 2
    now[0] = 3
    assert store.get("a") is None and store.increase("a", 5) == 5
    now[0] = 99
    assert store.get("a") == 5 and store.keys() == ["a", "ab"]
    store.set("a", 0, ttl=1)
    assert store.delete("a") and not store.delete("a")
    store.set("a", False)
    now[0] = 200
    assert store.get("a") is False and store.delete("a")
    other = Store(lambda: now[0])
    assert other.keys() == [] and other.increase("n", -2) == -2


def check_transactions():
    for fails in (False, True):
        store = Store()
        for key in "abc":
            store.set(key, key)
        try:
            with Transaction(store) as change:
                change.set("a", 1)
                assert change.delete("b") and not change.delete("z")
                change.set("b", 2)
                change.set("n", None)
                change.delete("n")
                change.set("c", None)
                if fails:
                    raise KeyError("x")
        except KeyError:
            assert fails
        found = {key: store.get(key) for key in store.keys()}
        assert found == ({"a": "a", "b": "b", "c": "c"} if fails else {"a": 1, "b": 2, "c": None})
    change = Transaction(store)
    with change:
        change.set("q", 1)
    try:
        with change:
            raise ValueError
    except ValueError:
        assert store.get("q") == 1


def check_log():
    for bad in ("{}\n", "[]\n", "x\n", line("set", "a") + "\n7\n", '{"do": "set"}\n', "\n"):
        try:
            replay(bad, Store())
        except LogError:
            continue
        raise AssertionError(bad)
    store = Store()
    assert replay("", store) == 0 and replay(line("set", "a", 1), store) == 0 and store.keys() == []
    text = "".join(line(*one) + "\n" for one in (("set", "x", 1), ("set", "y"), ("del", "x"), ("set", "x", {"k": 2}), ("del", "q")))
    assert replay(text, store) == 5 and store.get("x") == {"k": 2} and store.keys() == ["x", "y"]
    assert compacted(text) == line("set", "y") + "\n" + line("set", "x", {"k": 2}) + "\n" and compacted("") == ""
    again = Store()
    assert replay(compacted(text), again) == 2 and again.keys() == store.keys()
    assert json.loads(line("del", "k", 5)) == {"do": "del", "key": "k"}


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
