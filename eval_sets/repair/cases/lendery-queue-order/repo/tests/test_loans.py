from datetime import date, timedelta

import pytest

from lendery.errors import NotAvailable, NotRenewable, TooManyLoans, TooMuchOwed
from lendery.model import Copy


def test_due_day_depends_on_kind(desk, ada, book, film, today):
    assert desk.lend(book, ada, today).due == date(2024, 3, 29)
    assert desk.lend(film, ada, today).due == date(2024, 3, 8)


def test_a_copy_is_lent_once(desk, ada, bob, book, today):
    desk.lend(book, ada, today)
    with pytest.raises(NotAvailable, match="is out"):
        desk.lend(book, bob, today)


def test_ten_loans_are_enough(desk, ada, today):
    for number in range(10):
        desk.lend(Copy(f"x{number}", "Atlas"), ada, today)
    with pytest.raises(TooManyLoans):
        desk.lend(Copy("x10", "Atlas"), ada, today)


def test_late_return_is_fined(desk, ada, film, today):
    desk.lend(film, ada, today)
    assert desk.give_back("f1", date(2024, 3, 10)) == 100
    assert ada.owed == 100


def test_fine_is_capped(desk, ada, film, today):
    desk.lend(film, ada, today)
    assert desk.give_back("f1", today + timedelta(days=300)) == 1000


def test_debtors_cannot_borrow(desk, ada, book, today):
    ada.owed = 1500
    with pytest.raises(TooMuchOwed, match=r"15\.00"):
        desk.lend(book, ada, today)


def test_paying_gives_change(desk, ada):
    ada.owed = 300
    assert desk.pay(ada, 500) == 200
    assert ada.owed == 0


def test_part_payment(desk, ada):
    ada.owed = 300
    assert desk.pay(ada, 100) == 0
    assert ada.owed == 200


def test_a_film_is_renewed_once(desk, ada, film, today):
    desk.lend(film, ada, today)
    assert desk.renew("f1", date(2024, 3, 5)) == date(2024, 3, 12)
    with pytest.raises(NotRenewable, match="1 times"):
        desk.renew("f1", date(2024, 3, 6))


def test_renewing_late_books_the_fine(desk, ada, book, today):
    desk.lend(book, ada, today)
    desk.renew("b1", date(2024, 3, 31))
    assert ada.owed == 40
    assert desk.give_back("b1", date(2024, 4, 1)) == 0


def test_overdue_list(desk, ada, bob, book, film, today):
    desk.lend(book, ada, today)
    desk.lend(film, bob, today)
    assert [loan.copy.barcode for loan in desk.overdue(date(2024, 4, 5))] == ["f1", "b1"]
