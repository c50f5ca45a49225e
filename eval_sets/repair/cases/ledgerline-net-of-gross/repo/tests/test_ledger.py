from datetime import date
from decimal import Decimal

import pytest

from ledgerline import Ledger
from ledgerline.ledger import UnknownInvoice

CHAIR = ("Chair", 1, "100", "standard")


@pytest.fixture
def ledger():
    return Ledger()


def test_numbers_run_on(ledger):
    numbers = [ledger.issue("Holzer", date(2024, 2, 1), [CHAIR]).number for _ in range(2)]
    assert numbers == ["INV-2024-0001", "INV-2024-0002"]


def test_part_payment(ledger):
    invoice = ledger.issue("Holzer", date(2024, 2, 1), [CHAIR])
    assert ledger.pay(invoice.number, "50") == Decimal("70.00")
    assert ledger.pay(invoice.number, "70") == 0


def test_largest_debt_first(ledger):
    ledger.issue("Abel", date(2024, 2, 1), [CHAIR])
    ledger.issue("Zach", date(2024, 2, 1), [CHAIR, CHAIR])
    assert ledger.open_by_customer() == [("Zach", Decimal("240.00")), ("Abel", Decimal("120.00"))]


def test_paid_invoices_are_not_overdue(ledger):
    paid = ledger.issue("Abel", date(2024, 1, 1), [CHAIR])
    late = ledger.issue("Abel", date(2024, 1, 1), [CHAIR])
    ledger.pay(paid.number, "120")
    assert ledger.overdue(date(2024, 3, 1)) == [late.number]


def test_exempt_invoices_are_marked(ledger):
    exempt = ledger.issue("Red Cross", date(2024, 2, 1), [("Beds", 2, "80", "exempt")])
    assert exempt.tags == ["check-exemption"]


def test_other_invoices_are_not_marked(ledger):
    ledger.issue("Red Cross", date(2024, 2, 1), [("Beds", 2, "80", "exempt")])
    assert ledger.issue("Holzer", date(2024, 2, 2), [CHAIR]).tags == []


def test_unknown_invoice(ledger):
    with pytest.raises(UnknownInvoice):
        ledger.pay("INV-0", "1")


def test_payment_must_be_positive(ledger):
    invoice = ledger.issue("Holzer", date(2024, 2, 1), [CHAIR])
    with pytest.raises(ValueError, match="positive"):
        ledger.pay(invoice.number, "0")
