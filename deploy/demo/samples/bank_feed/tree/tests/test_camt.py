from datetime import date
from decimal import Decimal
from pathlib import Path

from bankfeed.importer import import_file

SAMPLE = Path(__file__).parent / "statements" / "march.camt.xml"


def test_account_and_balances_are_read():
    statement = import_file(SAMPLE)
    assert (statement.account, statement.currency) == ("AT611904300234573201", "EUR")
    assert (statement.opening, statement.closing) == (Decimal("2500.00"), Decimal("3640.10"))
    assert statement.balances


def test_bookings_are_read():
    first, second = import_file(SAMPLE).entries
    assert (first.booked, first.amount, first.counterparty) == (date(2024, 3, 1), Decimal("1190.00"), "Nordlicht GmbH")
    assert (second.amount, second.text, second.reference) == (Decimal("-49.90"), "Hosting March", "R-77")
