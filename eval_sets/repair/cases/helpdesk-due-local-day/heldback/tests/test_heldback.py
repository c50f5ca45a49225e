import random
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from helpdesk import Desk, NotAllowed, Status, Ticket, WorkingHours, parse_query
from helpdesk.search import BadQuery

START = datetime(2024, 3, 4, 10, tzinfo=timezone.utc)


def utc(*parts):
    return datetime(*parts, tzinfo=timezone.utc)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_reopening_counts_from_the_last_time(rounds):
    now = START
    ticket = Ticket(1, "x", "ada", now)
    for _ in range(rounds):
        ticket.move(Status.SOLVED, now)
        now += timedelta(days=7)
        ticket.reply("ada", "still", now)
        assert ticket.status is Status.OPEN
        now += timedelta(days=2)
    ticket.move(Status.SOLVED, now)
    with pytest.raises(NotAllowed):
        ticket.reply("ada", "still", now + timedelta(days=7, seconds=1))
    assert ticket.status is Status.SOLVED
    assert len(ticket.replies) == rounds


def test_closing_counts_from_the_last_time():
    desk = Desk(WorkingHours("UTC"), ["kim"])
    ticket = desk.open("x", "ada", START)
    ticket.move(Status.SOLVED, START)
    ticket.reply("ada", "no", START + timedelta(days=1))
    ticket.move(Status.SOLVED, START + timedelta(days=6))
    assert desk.close_solved(START + timedelta(days=8), timedelta(days=5)) == []
    assert desk.close_solved(START + timedelta(days=11), timedelta(days=5)) == [1]


def test_an_agent_may_add_to_a_solved_ticket():
    ticket = Ticket(1, "x", "ada", START)
    ticket.move(Status.SOLVED, START)
    ticket.reply("kim", "Just to note", START + timedelta(days=60))
    assert ticket.status is Status.SOLVED


def slow_due(hours, moment, minutes):
    at = moment
    while minutes:
        minutes -= hours.is_open(at)
        at += timedelta(minutes=1)
    return at


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata", "Pacific/Honolulu"])
def test_due_by_counting_minutes(zone):
    rng = random.Random(zone)
    hours = WorkingHours(zone, time(9, 30), time(20), holidays=[date(2024, 3, 29), date(2024, 4, 1)])
    for _ in range(6):
        moment = utc(2024, 3, 25) + timedelta(minutes=rng.randrange(14 * 24 * 60))
        minutes = rng.randrange(1, 300)
        due = hours.due(moment, minutes)
        assert due == slow_due(hours, moment, minutes)
        assert due.utcoffset() == timedelta(0)


def test_due_while_clocks_change():
    berlin = ZoneInfo("Europe/Berlin")
    hours = WorkingHours("Europe/Berlin", time(1), time(4), days=range(7))
    assert hours.due(datetime(2024, 3, 31, 1, tzinfo=berlin), 120) == datetime(2024, 3, 31, 4, tzinfo=berlin)


def test_assignment_against_a_slow_rule():
    rng = random.Random(3)
    names = ["a", "b", "c", "d"]
    desk = Desk(WorkingHours("UTC"), names)
    last = dict.fromkeys(names, -1)
    for turn in range(60):
        ticket = desk.open(str(turn), "x", START)
        loads = {name: len([t for t in desk.tickets.values() if t.active and t.agent == name]) for name in names}
        least = min(loads.values())
        expected = min((name for name in names if loads[name] == least), key=lambda name: last[name])
        assert desk.assign(ticket.number) == expected
        last[expected] = turn
        if rng.random() < 0.6:
            mine = rng.choice([t for t in desk.tickets.values() if t.active])
            mine.move(Status.SOLVED, START)


def test_assigning_again_does_not_count_itself():
    desk = Desk(WorkingHours("UTC"), ["a", "b"])
    first, second = desk.open("1", "x", START), desk.open("2", "x", START)
    assert [desk.assign(first.number), desk.assign(second.number)] == ["a", "b"]
    assert desk.assign(second.number) == "b"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a b"', "a b"), (r'"\"a\""', '"a"'), (r'"a\\"', "a\\"), (r'"\\\""', '\\"'), ("plain", "plain"),
        (r'""', ""), (r'"\\\\"', "\\\\"), (r'"x\"\"y"', 'x""y'),
    ],
)
def test_values(text, value):
    for before, field, excluded in (("", "subject", False), ("tag:", "tag", False), ("-tag:", "tag", True)):
        (term,) = parse_query(before + text).terms
        assert (term.field, term.value, term.excluded) == (field, value, excluded)


def test_bad_query():
    with pytest.raises(BadQuery):
        parse_query('tag:"open')
