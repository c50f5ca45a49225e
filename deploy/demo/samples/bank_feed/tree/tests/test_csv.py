from datetime import date
from decimal import Decimal

import pytest

from bankfeed.csv_reader import read, recognises
from bankfeed.errors import StatementError


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12.00", "12"), ("-12,50", "-12.5"), ("1.234,56", "1234.56"), ("1 234.56", "1234.56"), ("12", "12")],
)
def test_amounts_of_several_countries(text, amount):
    statement = read(f"date;amount\n2024-03-01;{text}\n")
    assert statement.entries[0].amount == Decimal(amount)


@pytest.mark.parametrize("text", ["2024-03-01", "01.03.2024", "01/03/2024"])
def test_dates_of_several_countries(text):
    assert read(f"date;amount\n{text};1\n").entries[0].booked == date(2024, 3, 1)


def test_the_line_of_a_bad_amount_is_named():
    with pytest.raises(StatementError, match="line 3"):
        read("date;amount\n2024-03-01;1\n2024-03-02;much\n")


def test_a_file_without_amounts_is_not_recognised():
    assert not recognises("date;text\n")
