from datetime import datetime, timedelta, timezone

import pytest

from helpdesk import Desk, Status, Unknown, WorkingHours, parse_query

START = datetime(2024, 3, 4, 10, tzinfo=timezone.utc)


@pytest.fixture
def desk():
    return Desk(WorkingHours("UTC"), ["kim", "lee", "pat"])


def test_in_turn(desk):
    numbers = [desk.open(f"Problem {n}", "ada", START).number for n in range(4)]
    assert [desk.assign(number) for number in numbers] == ["kim", "lee", "pat", "kim"]


def test_who_is_free_comes_first(desk):
    first, second, third = (desk.open(f"Problem {n}", "ada", START) for n in range(3))
    for ticket in (first, second, third):
        desk.assign(ticket.number)
    third.move(Status.SOLVED, START)
    assert desk.assign(desk.open("One more", "bob", START).number) == "pat"


def test_nobody():
    desk = Desk(WorkingHours("UTC"))
    with pytest.raises(Unknown):
        desk.assign(desk.open("Help", "ada", START).number)


def test_overdue(desk):
    late = desk.open("Late", "ada", START)
    answered = desk.open("Answered", "ada", START)
    answered.reply("kim", "Hello", START)
    assert desk.overdue(START + timedelta(hours=3)) == []
    assert desk.overdue(START + timedelta(hours=5)) == [late]


def test_search(desk):
    desk.open("Printer on fire", "Ada", START, ["printer"])
    desk.open("Parcel never came", "Bob", START, ["late parcel"])
    desk.open("Screen is 24\" wide", "Bob", START, ["24\" screen"])

    def numbers(text):
        return [ticket.number for ticket in desk.find(parse_query(text))]

    assert numbers("customer:bob") == [2, 3]
    assert numbers('tag:"late parcel"') == [2]
    assert numbers("customer:bob -screen") == [2]
    assert numbers(r'"24\" wide"') == [3]
    assert numbers(r'"is 24\""') == [3]
