from decimal import Decimal

import pytest

from hours import by_day, by_week
from pay import Contract, payslip, weekly_pay
from tax import parse_allowance, wage_tax


@pytest.mark.parametrize(
    ("hours", "pay"),
    [(0, (0, 0)), (40.25, (800, 7.5)), (49.75, (800, 292.5)), (50.5, (800, 320)), (60, (800, 700)), (12.5, (250, 0))],
)
def test_weekly_pay(hours, pay):
    assert weekly_pay(hours, Contract("x", Decimal(20))) == pay


def test_part_time_overtime():
    assert weekly_pay(30, Contract("x", Decimal(10), weekly_hours=20)) == (200, 150)
    assert weekly_pay(52, Contract("x", Decimal(10), weekly_hours=20)) == (200, 490)


@pytest.mark.parametrize(
    ("taxable", "tax"), [(0, 0), (1000, 0), (1001, "0.20"), (2001, "200.30"), (4000, 800), (4001, "800.45"), (9000, 3050)]
)
def test_brackets(taxable, tax):
    assert wage_tax(Decimal(taxable)) == Decimal(tax)


@pytest.mark.parametrize(
    ("line", "hours"),
    [("2024-03-05 23:45-00:15", 0.5), ("2024-03-05 00:00-23:59", 23 + 59 / 60), ("2024-02-29 12:00-11:00", 23)],
)
def test_spans(sheet, line, hours):
    assert sheet(line)[0].hours == pytest.approx(hours)


def test_long_shifts_in_weeks(sheet):
    shifts = sheet("2024-12-30 06:00-06:00\n2024-12-31 08:00-20:00\n2025-01-02 08:00-09:00")
    assert by_week(shifts) == {(2025, 1): 37}


def test_many_spans_on_one_day(sheet):
    shifts = sheet("2024-03-04 08:00-09:00 10:00-11:00 12:00-13:30\n2024-03-04 20:00-20:30")
    assert list(by_day(shifts).values()) == [4.0]


@pytest.mark.parametrize(
    ("line", "night"), [("2024-03-04 22:00-06:00", 8), ("2024-03-04 06:00-22:00", 0), ("2024-03-04 21:45-22:15", 0.25)]
)
def test_night(sheet, line, night):
    assert sheet(line)[0].night_hours == night


@pytest.mark.parametrize(("text", "amount"), [("7.5%", "75.00"), ("12.34", "12.34"), ("100%", "1000.00"), ("0", "0.00")])
def test_allowances(text, amount):
    assert parse_allowance(text)(Decimal(1000)) == Decimal(amount)


def test_supplements_are_not_mixed(sheet):
    contract = Contract("x", Decimal(10))
    slip = payslip(sheet("2024-03-08 22:00-23:00\n2024-03-10 08:00-09:00"), contract)
    assert slip.supplements == Decimal("5.50")
