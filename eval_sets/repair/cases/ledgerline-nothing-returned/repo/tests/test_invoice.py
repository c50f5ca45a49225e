from datetime import date
from decimal import Decimal

import pytest

from ledgerline.amounts import cents, interest, show, split_evenly
from ledgerline.invoice import Invoice
from ledgerline.tax import net_of_gross, tax_on


@pytest.fixture
def invoice():
    invoice = Invoice("INV-1", "Holzer", date(2024, 2, 1))
    invoice.add("Chairs", 4, "49.90")
    invoice.add("Catalogue", 1, "12.30", "books")
    return invoice


def test_net_and_gross(invoice):
    assert invoice.net() == Decimal("211.90")
    assert invoice.tax_by_category() == {"standard": Decimal("39.92"), "books": Decimal("0.62")}
    assert invoice.gross() == Decimal("252.44")


def test_line_net_is_rounded(invoice):
    assert invoice.add("Rope by the metre", "2.5", "0.33").net == Decimal("0.83")


def test_half_cents_of_tax():
    assert tax_on(Decimal("0.50"), "books") == Decimal("0.03")
    assert tax_on(Decimal("4.50"), "books") == Decimal("0.23")


def test_net_of_gross():
    assert net_of_gross(Decimal("12.00"), "standard") == Decimal("10.00")


def test_unknown_category():
    with pytest.raises(ValueError, match="known: books, exempt"):
        tax_on(Decimal(1), "luxury")


def test_overdue(invoice):
    assert not invoice.is_overdue(date(2024, 3, 2))
    assert invoice.is_overdue(date(2024, 3, 3))


def test_split():
    assert split_evenly("10.00", 3) == [Decimal("3.34"), Decimal("3.33"), Decimal("3.33")]


def test_interest_is_rounded_as_banks_do():
    assert interest("1000", "4.5", 30) == Decimal("3.75")
    assert interest("18", "10", 1) == Decimal("0.00")
    assert interest("54", "10", 1) == Decimal("0.02")


def test_show():
    assert show(Decimal("1234.5")) == "EUR 1,234.50"
    assert cents("0.125") == Decimal("0.13")
