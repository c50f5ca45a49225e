from datetime import date
from decimal import Decimal

from bankfeed.matching import Invoice, match
from bankfeed.model import Entry, Statement
from bankfeed.report import render

INVOICE = Invoice("2041", Decimal("1190.00"), "Nordlicht GmbH")
DAY = date(2024, 3, 1)


def test_an_invoice_number_in_the_text_decides():
    entry = Entry(DAY, Decimal("1190.00"), "Payment for INV-2041", "Somebody")
    assert match((entry,), [INVOICE])[0].reason == "number"


def test_a_wrong_amount_does_not_match():
    assert match((Entry(DAY, Decimal("119.00"), "INV-2041"),), [INVOICE]) == []


def test_amount_and_customer_match_without_a_number():
    entry = Entry(DAY, Decimal("1190.00"), "thanks", "NORDLICHT GMBH")
    assert match((entry,), [INVOICE])[0].reason == "customer"


def test_an_invoice_is_paid_once():
    entry = Entry(DAY, Decimal("1190.00"), "INV-2041")
    assert len(match((entry, entry), [INVOICE])) == 1


def test_debits_pay_nothing():
    assert match((Entry(DAY, Decimal("-1190.00"), "INV-2041"),), [INVOICE]) == []


def test_a_statement_that_does_not_balance_says_so():
    statement = Statement("x", "EUR", (), Decimal(1), Decimal(2))
    assert "closing balance" in render(statement)
