import pytest

from vaultkv.store import Store


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def store(now):
    return Store(clock=lambda: now[0])


def test_get(store):
    store.set("a", 1)
    assert store.get("a") == 1


def test_default(store):
    assert store.get("z", "none") == "none"


def test_runs_out(store, now):
    store.set("a", 1, ttl=5)
    now[0] += 5
    assert store.get("a") is None


def test_set_again_without_lifetime(store, now):
    store.set("a", 1, ttl=5)
    store.set("a", 2)
    now[0] += 9
    assert store.get("a") == 2


def test_delete(store):
    store.set("a", None)
    assert store.delete("a")
    assert not store.delete("a")


def test_keys(store):
    for key in ("user:2", "user:1", "job:1"):
        store.set(key, 0)
    assert store.keys("user:") == ["user:1", "user:2"]


def test_increase(store):
    assert [store.increase("hits"), store.increase("hits", 4)] == [1, 5]
