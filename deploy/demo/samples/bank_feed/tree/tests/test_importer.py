from decimal import Decimal
from pathlib import Path

import pytest

from bankfeed.errors import StatementError, UnknownFormat
from bankfeed.importer import import_file, import_text

STATEMENTS = Path(__file__).parent / "statements"


@pytest.mark.parametrize("name", ["march.csv", "march.sta"])
def test_each_format_gives_the_same_bookings(name):
    statement = import_file(STATEMENTS / name)
    assert [entry.amount for entry in statement.entries] == [Decimal("1190.00"), Decimal("-49.90")]
    assert statement.entries[0].counterparty == "Nordlicht GmbH"


def test_an_unknown_format_says_what_can_be_read():
    with pytest.raises(UnknownFormat, match="MT940, CSV"):
        import_text("hello\nworld\n")


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text(" \n")
    with pytest.raises(StatementError, match="empty"):
        import_file(path)


def test_old_banks_send_latin_1(tmp_path):
    path = tmp_path / "old.csv"
    path.write_bytes("date,amount,name\n2024-03-01,5.00,M\xfcller\n".encode("latin-1"))
    assert import_file(path).entries[0].counterparty == "Müller"


def test_a_byte_order_mark_is_ignored(tmp_path):
    path = tmp_path / "bom.csv"
    path.write_bytes(b"\xef\xbb\xbfdate,amount\n2024-03-01,5.00\n")
    assert len(import_file(path).entries) == 1
