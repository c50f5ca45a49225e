from datetime import date, timedelta

import pytest

from lendery.errors import NotAvailable, NotRenewable
from lendery.model import Copy, Patron
from lendery.policy import Kind


def test_books_are_renewed_exactly_twice(desk, ada, book, today):
    desk.lend(book, ada, today)
    desk.renew("b1", today)
    desk.renew("b1", today)
    with pytest.raises(NotRenewable, match="2 times"):
        desk.renew("b1", today)


def test_magazines_are_never_renewed(desk, ada, today):
    desk.lend(Copy("m1", "Geo", Kind.MAGAZINE), ada, today)
    with pytest.raises(NotRenewable, match="0 times"):
        desk.renew("m1", today)


def test_films_can_be_renewed_once(desk, ada, film, today):
    desk.lend(film, ada, today)
    assert desk.renew("f1", today) == today + timedelta(days=7)
    with pytest.raises(NotRenewable):
        desk.renew("f1", today)


def test_queue_of_three(desk, ada, bob, book, today):
    cyd = Patron("1003", "Cyd")
    for patron in (ada, bob, cyd):
        desk.hold("b1", patron)
    for patron, other in ((ada, bob), (bob, cyd), (cyd, None)):
        if other:
            with pytest.raises(NotAvailable):
                desk.lend(book, other, today)
        desk.lend(book, patron, today)
        desk.give_back("b1", today)
    assert desk.hold("b1", cyd) == 1


def test_no_hold_left_means_renewable(desk, ada, book, today):
    desk.hold("b1", ada)
    desk.lend(book, ada, today)
    assert desk.renew("b1", today) == date(2024, 3, 29)


def test_lending_leaves_the_other_queue_alone(desk, ada, bob, book, film, today):
    desk.hold("f1", bob)
    desk.lend(book, ada, today)
    assert desk.hold("f1", ada) == 2
