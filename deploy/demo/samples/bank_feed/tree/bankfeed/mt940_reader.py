"""MT940 statements: lines that start with a tag between colons; other lines continue the last tag."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

from bankfeed.errors import StatementError
from bankfeed.model import Entry, Statement

NAME = "MT940"
_TAG = re.compile(r"^:(\d{2}[A-Z]?):(.*)$")
_BALANCE = re.compile(r"^([CD])(\d{6})([A-Z]{3})([\d,]+)$")
_ENTRY = re.compile(r"^(\d{6})(\d{4})?(R?[CD])[A-Z]?([\d,]+)[NFS][A-Z0-9]{3}([^/]*)(?://(.*))?$")
_FIELD = re.compile(r"\?(\d{2})")


def recognises(text: str) -> bool:
    return any(line.startswith(":20:") for line in text.splitlines()[:5])


def read(text: str) -> Statement:
    """Raises `StatementError` for a balance or an entry line that does not follow the standard."""
    account, currency = "", "EUR"
    opening = closing = None
    entries: list[Entry] = []
    for tag, value in _tags(text):
        if tag == "25":
            account = value.partition("\n")[0]
        elif tag == "60F":
            currency, opening = _balance(value)
        elif tag == "62F":
            currency, closing = _balance(value)
        elif tag == "61":
            entries.append(_entry(value))
        elif tag == "86" and entries:
            entries[-1] = _with_details(entries[-1], value)
    return Statement(account, currency, tuple(entries), opening, closing)


def _tags(text: str) -> Iterator[tuple[str, str]]:
    tag, lines = "", []
    for line in text.splitlines():
        match = _TAG.match(line)
        if match is None:
            if line.strip() not in ("", "-"):
                lines.append(line)
            continue
        if tag:
            yield tag, "\n".join(lines)
        tag, lines = match.group(1), [match.group(2)]
    if tag:
        yield tag, "\n".join(lines)


def _balance(value: str) -> tuple[str, Decimal]:
    match = _BALANCE.match(value.strip())
    if match is None:
        raise StatementError(f"not a balance: {value!r}")
    sign, _, currency, amount = match.groups()
    return currency, _signed(sign, amount)


def _entry(value: str) -> Entry:
    match = _ENTRY.match(value.partition("\n")[0])
    if match is None:
        raise StatementError(f"not an entry: {value!r}")
    day, _, mark, amount, reference, _ = match.groups()
    sign = {"C": "C", "D": "D", "RC": "D", "RD": "C"}[mark]
    return Entry(_day(day), _signed(sign, amount), "", reference="" if reference == "NONREF" else reference)


def _with_details(entry: Entry, value: str) -> Entry:
    """Field 86: `?20` to `?29` are the text, `?32` and `?33` the other party."""
    parts = _FIELD.split(value.replace("\n", ""))
    fields = dict(zip(parts[1::2], parts[2::2]))
    text = "".join(fields[key] for key in sorted(fields) if "20" <= key <= "29") or parts[0]
    name = fields.get("32", "") + fields.get("33", "")
    return Entry(entry.booked, entry.amount, text.strip(), name.strip(), entry.reference)


def _day(text: str) -> date:
    return datetime.strptime(text, "%y%m%d").date()


def _signed(mark: str, amount: str) -> Decimal:
    value = Decimal(amount.replace(",", "."))
    return value if mark == "C" else -value
