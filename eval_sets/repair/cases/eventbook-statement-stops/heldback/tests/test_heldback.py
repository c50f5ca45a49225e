from datetime import timedelta

import pytest

from eventbook.account import Bank, Refused
from eventbook.events import utc
from eventbook.store import IndexedStore, Store
from eventbook.views import activity, balance_at, overview, statement


@pytest.fixture(params=[Store, IndexedStore])
def any_store(request):
    return request.param()


def open_bank(store, step=timedelta(hours=1)):
    moment = [utc(2024, 1, 1)]

    def clock():
        moment[0] += step
        return moment[0]

    bank = Bank(store, clock)
    for number, owner in (("1", "Ann"), ("2", "Ben"), ("3", "Cat")):
        bank.open(number, owner)
    return bank


def test_many_events(any_store):
    bank = open_bank(any_store)
    for cents in (5, 10, 20, 40):
        bank.deposit("1", cents)
        bank.deposit("2", cents * 2)
    bank.withdraw("2", 50, fee=3)
    assert [bank.account(n).balance for n in "123"] == [75, 97, 0]
    assert bank.account("2").fees == 3
    assert overview(any_store) == [("Ben", 97), ("Ann", 75), ("Cat", 0)]
    assert [line[2] for line in statement(any_store, "2")] == [10, 30, 70, 150, 97]
    assert bank.account("1").version == 5


def test_two_stores_share_nothing():
    one, other = IndexedStore(), IndexedStore()
    open_bank(one)
    assert (len(other), other.kind("opened"), other.accounts()) == (0, [], [])
    assert len(one.kind("opened")) == 3


def test_freeze_twice_release_once(any_store):
    bank = open_bank(any_store)
    bank.deposit("1", 10)
    bank.freeze("1", "a")
    bank.freeze("1", "b")
    bank.release("1")
    assert bank.withdraw("1", 10).balance == 0


def test_fee_counts_against_the_balance(any_store):
    bank = open_bank(any_store)
    bank.deposit("1", 100)
    with pytest.raises(Refused):
        bank.withdraw("1", 100, fee=1)
    assert bank.withdraw("1", 99, fee=1).balance == 0


def test_balance_over_time(any_store):
    bank = open_bank(any_store)
    for _ in range(3):
        bank.deposit("3", 10)
    start = utc(2024, 1, 1)
    assert [balance_at(any_store, "3", start + timedelta(hours=h)) for h in range(3, 8)] == [0, 10, 20, 30, 30]


def test_statement_after_a_freeze(any_store):
    bank = open_bank(any_store)
    bank.freeze("1", "x")
    bank.deposit("1", 7)
    bank.release("1")
    bank.withdraw("1", 2, fee=1)
    assert [line[1:] for line in statement(any_store, "1")] == [(7, 7), (-3, 4)]


def test_activity_by_month_and_kind(any_store):
    bank = open_bank(any_store, timedelta(days=20))
    bank.deposit("1", 100)
    bank.withdraw("1", 1)
    counts = activity(any_store)
    assert counts["2024-01", "opened"] == 1
    assert counts["2024-02", "opened"] == 1
    assert counts["2024-03", "opened"] == 1
    assert counts["2024-03", "deposited"] == 1
    assert counts["2024-04", "withdrawn"] == 1
    assert len(counts) == 5


def test_load_keeps_fees(any_store):
    bank = open_bank(any_store)
    bank.deposit("1", 100)
    bank.withdraw("1", 10, fee=4)
    loaded = Store.load(any_store.dump())
    assert [line[2] for line in statement(loaded, "1")] == [100, 86]
    assert loaded.of("1")[-1].fee == 4
