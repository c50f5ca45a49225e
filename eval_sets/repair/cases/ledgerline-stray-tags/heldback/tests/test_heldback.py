from datetime import date
from decimal import Decimal

import pytest

from ledgerline import Ledger
from ledgerline.amounts import cents
from ledgerline.tax import net_of_gross, tax_on


@pytest.mark.parametrize(
    ("value", "rounded"),
    [("0.005", "0.01"), ("0.015", "0.02"), ("0.025", "0.03"), ("2.345", "2.35"), ("2.344", "2.34"), ("-0.005", "-0.01"),
     ("0.0251", "0.03"), ("0.0049", "0.00"), ("2.001", "2.00")],
)
def test_rounding(value, rounded):
    assert cents(value) == Decimal(rounded)


@pytest.mark.parametrize(("net", "tax"), [("0.10", "0.01"), ("0.30", "0.02"), ("8.50", "0.43"), ("8.40", "0.42")])
def test_tax_rounding(net, tax):
    assert tax_on(Decimal(net), "books") == Decimal(tax)


def test_net_of_gross_rounding():
    assert net_of_gross(Decimal("0.70"), "standard") == Decimal("0.58")


def test_tags_are_independent():
    ledger = Ledger()
    day = date(2024, 1, 1)
    first = ledger.issue("A", day, [("Bed", 1, "80", "exempt")])
    second = ledger.issue("B", day, [("Bed", 1, "80", "exempt")])
    third = Ledger().issue("C", day, [("Bed", 1, "80", "standard")])
    assert first.tags == ["check-exemption"]
    assert second.tags == ["check-exemption"]
    assert third.tags == []
    first.tags.append("seen")
    assert second.tags == ["check-exemption"]


@pytest.mark.parametrize(("gross", "net"), [("120", "100.00"), ("0.01", "0.01"), ("99.99", "83.33"), ("60", "50.00")])
def test_net_of_gross_standard(gross, net):
    assert net_of_gross(Decimal(gross), "standard") == Decimal(net)
    assert net_of_gross(Decimal(gross), "exempt") == Decimal(gross)


def test_payments_return_what_is_open():
    ledger = Ledger()
    number = ledger.issue("A", date(2024, 1, 1), [("Bed", 1, "100", "reduced")]).number
    assert ledger.pay(number, "10") == Decimal("100.00")
    assert ledger.pay(number, "110") == Decimal("-10.00")


def test_given_tags_are_kept():
    invoice = Ledger().issue("A", date(2024, 1, 1), [("Bed", 1, "80", "exempt")], tags=["rush"])
    assert invoice.tags == ["rush", "check-exemption"]
