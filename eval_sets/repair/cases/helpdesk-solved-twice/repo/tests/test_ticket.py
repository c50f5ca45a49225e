from datetime import datetime, timedelta, timezone

import pytest

from helpdesk import NotAllowed, Status, Ticket

START = datetime(2024, 3, 4, 10, tzinfo=timezone.utc)


@pytest.fixture
def ticket():
    return Ticket(1, "No sound", "ada", START)


def days(count):
    return START + timedelta(days=count)


def test_an_answer_makes_it_wait(ticket):
    ticket.reply("tom", "Is it plugged in?", START)
    assert ticket.status is Status.WAITING
    ticket.reply("ada", "Yes.", START)
    assert ticket.status is Status.OPEN


def test_closed_is_closed(ticket):
    ticket.move(Status.CLOSED, START)
    with pytest.raises(NotAllowed):
        ticket.reply("ada", "hello?", START)


def test_reply_after_it_was_solved(ticket):
    ticket.move(Status.SOLVED, START)
    ticket.reply("ada", "It is back", days(3))
    assert ticket.status is Status.OPEN
    ticket.move(Status.SOLVED, days(10))
    ticket.reply("ada", "And again", days(11))
    assert ticket.status is Status.OPEN


def test_too_late(ticket):
    ticket.move(Status.SOLVED, START)
    with pytest.raises(NotAllowed, match="too long ago"):
        ticket.reply("ada", "It is back", days(40))
