import pytest

from eventbook.account import Refused


def test_deposit_and_withdraw(bank):
    bank.deposit("A1", 5000)
    assert bank.withdraw("A1", 1200, fee=50).balance == 3750
    assert bank.account("A1").fees == 50


def test_all_of_it_can_be_withdrawn(bank):
    bank.deposit("A1", 500)
    assert bank.withdraw("A1", 500).balance == 0


def test_no_overdraft(bank):
    bank.deposit("A1", 500)
    with pytest.raises(Refused, match="only 500"):
        bank.withdraw("A1", 480, fee=30)


def test_frozen_accounts_pay_nothing(bank):
    bank.deposit("A1", 500)
    bank.freeze("A1", "court order")
    with pytest.raises(Refused, match="frozen"):
        bank.withdraw("A1", 1)
    bank.release("A1")
    assert bank.withdraw("A1", 1).balance == 499


def test_transfer(bank):
    bank.deposit("A1", 500)
    bank.transfer("A1", "B2", 200)
    assert (bank.account("A1").balance, bank.account("B2").balance) == (300, 200)


def test_transfer_to_nowhere(bank):
    bank.deposit("A1", 500)
    with pytest.raises(Refused, match="no account"):
        bank.transfer("A1", "Z9", 200)
    assert bank.account("A1").balance == 500


def test_a_number_is_used_once(bank):
    with pytest.raises(Refused, match="taken"):
        bank.open("A1", "Eve")


def test_deposit_nothing(bank):
    with pytest.raises(Refused):
        bank.deposit("A1", 0)
