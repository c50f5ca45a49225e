import pytest

from vaultkv.store import Store
from vaultkv.transactions import Transaction


@pytest.fixture
def store():
    store = Store()
    store.set("a", 1)
    return store


def test_done(store):
    with Transaction(store) as change:
        change.set("b", 2)
    assert store.get("b") == 2


def test_undone(store):
    with pytest.raises(RuntimeError), Transaction(store) as change:
        change.set("a", 5)
        change.set("b", 2)
        raise RuntimeError
    assert store.get("a") == 1
    assert store.keys() == ["a"]


def test_two_changes_of_one_key(store):
    with pytest.raises(RuntimeError), Transaction(store) as change:
        change.set("a", 5)
        change.set("a", 6)
        raise RuntimeError
    assert store.get("a") == 1


def test_deletion_is_undone(store):
    with pytest.raises(RuntimeError), Transaction(store) as change:
        change.delete("a")
        raise RuntimeError
    assert store.get("a") == 1
