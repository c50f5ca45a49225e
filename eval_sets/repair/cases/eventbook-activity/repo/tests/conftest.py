from datetime import timedelta

import pytest

from eventbook.account import Bank
from eventbook.events import utc
from eventbook.store import IndexedStore


@pytest.fixture
def store():
    return IndexedStore()


@pytest.fixture
def bank(store):
    """A bank where a day passes between two things that happen."""
    moments = iter(utc(2024, 3, 1) + timedelta(days=number) for number in range(1000))
    bank = Bank(store, lambda: next(moments))
    bank.open("A1", "Ada")
    bank.open("B2", "Bob")
    return bank
