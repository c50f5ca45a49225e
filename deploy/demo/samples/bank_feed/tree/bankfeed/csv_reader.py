"""CSV files of web banking: a header row, one booking a line, `;` or `,` between the fields."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from bankfeed.errors import StatementError
from bankfeed.model import Entry, Statement

NAME = "CSV"
_DATES = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y")


def recognises(text: str) -> bool:
    header = text.partition("\n")[0].lower()
    return "date" in header and "amount" in header


def read(text: str) -> Statement:
    """Raises `StatementError` naming the line that cannot be read."""
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or []]
    entries = []
    account = ""
    for line, row in enumerate(rows, start=2):
        try:
            booked, amount = _date(row["date"]), _amount(row["amount"])
        except (ValueError, InvalidOperation) as error:
            raise StatementError(f"line {line}: {error}") from error
        account = row.get("account") or account
        entries.append(
            Entry(booked, amount, (row.get("text") or "").strip(), (row.get("name") or "").strip(), row.get("ref") or "")
        )
    return Statement(account, "EUR", tuple(entries))


def _date(text: str) -> date:
    for pattern in _DATES:
        try:
            return datetime.strptime(text.strip(), pattern).date()
        except ValueError:
            continue
    raise ValueError(f"not a date: {text!r}")


def _amount(text: str) -> Decimal:
    """Reads `1.234,56`, `1,234.56` and `-12.00`."""
    text = text.strip().replace(" ", "")
    if text.rfind(",") > text.rfind("."):
        text = text.replace(".", "").replace(",", ".")
    else:
        text = text.replace(",", "")
    return Decimal(text)
