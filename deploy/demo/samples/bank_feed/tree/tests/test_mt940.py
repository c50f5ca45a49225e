from decimal import Decimal
from pathlib import Path

import pytest

from bankfeed.errors import StatementError
from bankfeed.importer import import_file
from bankfeed.mt940_reader import read

SAMPLE = Path(__file__).parent / "statements" / "march.sta"


def test_balances_are_read():
    statement = import_file(SAMPLE)
    assert (statement.opening, statement.closing) == (Decimal("2500.00"), Decimal("3640.10"))
    assert statement.balances


def test_the_text_is_joined_from_its_fields():
    assert import_file(SAMPLE).entries[0].text == "Invoice INV-2041 thank you"


def test_nonref_is_no_reference():
    statement = import_file(SAMPLE)
    assert [entry.reference for entry in statement.entries] == ["", "R-77"]


def test_a_reversed_credit_is_a_debit():
    statement = read(":20:X\n:61:2403010301RCR10,00NTRFNONREF\n")
    assert statement.entries[0].amount == Decimal("-10.00")


def test_a_broken_entry_is_quoted():
    with pytest.raises(StatementError, match="not an entry: 'hello'"):
        read(":20:X\n:61:hello\n")
