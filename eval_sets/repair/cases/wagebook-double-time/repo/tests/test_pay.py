from decimal import Decimal

import pytest

from pay import payslip, weekly_pay
from tax import insurance, net, parse_allowance, wage_tax


@pytest.mark.parametrize(
    ("hours", "pay"),
    [(30, (600, 0)), (40, (800, 0)), (44, (800, 120)), (50, (800, 300)), (53, (800, 420))],
)
def test_weekly_pay(contract, hours, pay):
    assert weekly_pay(hours, contract) == pay


def test_payslip(contract, sheet):
    slip = payslip(sheet("2024-03-04 08:00-18:00\n2024-03-05 20:00-23:00\n2024-03-09 10:00-12:00"), contract)
    assert (slip.base, slip.overtime) == (Decimal(300), 0)
    assert slip.supplements == Decimal("17.00")
    assert slip.gross == Decimal("317.00")


def test_night_on_a_weekend_counts_as_weekend(contract, sheet):
    assert payslip(sheet("2024-03-09 22:00-02:00"), contract).supplements == Decimal("24.00")


@pytest.mark.parametrize(("taxable", "tax"), [(900, 0), (1500, 100), (2000, 200), (3000, 500), (5000, 1250)])
def test_wage_tax(taxable, tax):
    assert wage_tax(Decimal(taxable)) == tax


def test_insurance_ceiling():
    assert insurance(Decimal(6000)) == insurance(Decimal(5000)) == Decimal("906.00")


def test_net():
    assert net(Decimal(2000)) == (Decimal("1510.08"), Decimal("362.40"), Decimal("127.52"))


@pytest.mark.parametrize(("text", "amount"), [("120", 120), (" 5% ", 50), ("1200", 1000), ("0.5%", 5)])
def test_allowance(text, amount):
    assert parse_allowance(text)(Decimal(1000)) == amount
