import pytest

from lendery.errors import NotAvailable, NotRenewable


def test_places_in_the_queue(desk, ada, bob):
    assert desk.hold("b1", ada) == 1
    assert desk.hold("b1", bob) == 2
    assert desk.hold("b1", ada) == 1


def test_a_held_copy_goes_to_the_first(desk, ada, bob, book, today):
    desk.hold("b1", ada)
    with pytest.raises(NotAvailable, match="somebody else"):
        desk.lend(book, bob, today)
    assert desk.lend(book, ada, today).patron is ada


def test_a_held_copy_is_not_renewed(desk, ada, bob, book, today):
    desk.lend(book, ada, today)
    desk.hold("b1", bob)
    with pytest.raises(NotRenewable, match="waits"):
        desk.renew("b1", today)


def test_everybody_in_the_queue_gets_a_turn(desk, ada, bob, book, today):
    desk.hold("b1", ada)
    desk.hold("b1", bob)
    desk.lend(book, ada, today)
    desk.give_back("b1", today)
    assert desk.lend(book, bob, today).patron is bob
