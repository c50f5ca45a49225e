import pytest

from eventbook.events import Deposited, Released, Withdrawn, from_line, utc
from eventbook.store import Conflict, Store
from eventbook.views import activity, balance_at, overview, statement


def test_versions_count_per_account(bank, store):
    bank.deposit("A1", 100)
    assert (store.version("A1"), store.version("B2"), store.version("C3")) == (2, 1, 0)


def test_conflict(store):
    store.append(Released("A1", utc(2024, 1, 1)))
    with pytest.raises(Conflict, match="version 1, not 0"):
        store.append(Released("A1", utc(2024, 1, 1)), expected=0)


def test_events_by_kind(bank, store):
    bank.deposit("A1", 100)
    bank.deposit("B2", 100)
    assert [event.account for event in store.kind("deposited")] == ["A1", "B2"]
    assert store.kind("frozen") == []


def test_events_of_one_account(bank, store):
    bank.deposit("A1", 100)
    bank.deposit("A1", 200)
    assert [event.version for event in store.of("A1", after=1)] == [2, 3]


def test_dump_and_load(bank, store):
    bank.deposit("A1", 100)
    bank.withdraw("A1", 30, fee=5)
    loaded = Store.load(store.dump())
    assert loaded.dump() == store.dump()
    assert loaded.version("A1") == 3


def test_unknown_kind():
    with pytest.raises(ValueError, match="unknown kind"):
        from_line('{"kind": "melted"}')


def test_missing_field():
    with pytest.raises(TypeError, match="deposited: missing cents"):
        Deposited("A1", utc(2024, 1, 1))


def test_no_fee_is_a_fee_of_zero():
    assert Withdrawn("A1", utc(2024, 1, 1), cents=5).fee == 0


def test_statement(bank, store):
    bank.deposit("A1", 100)
    bank.withdraw("A1", 30, fee=5)
    assert [line[1:] for line in statement(store, "A1")] == [(100, 100), (-35, 65)]


def test_statement_skips_what_moves_no_money(bank, store):
    bank.deposit("A1", 100)
    bank.freeze("A1", "?")
    bank.release("A1")
    bank.deposit("A1", 1)
    assert [line[1:] for line in statement(store, "A1")] == [(100, 100), (1, 101)]


def test_balance_at(bank, store):
    bank.deposit("A1", 100)  # 3 March
    bank.deposit("A1", 100)  # 4 March
    assert balance_at(store, "A1", utc(2024, 3, 2)) == 0
    assert balance_at(store, "A1", utc(2024, 3, 3)) == 100


def test_overview(bank):
    bank.deposit("B2", 100)
    assert overview(bank._store) == [("Bob", 100), ("Ada", 0)]


def test_activity(bank, store):
    bank.deposit("B2", 100)
    assert activity(store) == {("2024-03", "opened"): 2, ("2024-03", "deposited"): 1}
