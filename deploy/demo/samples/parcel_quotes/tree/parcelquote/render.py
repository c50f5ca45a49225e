"""Quotes as text, for the terminal and for e-mails."""

from __future__ import annotations

from parcelquote.quote import Quote

WIDTH = 38


def render(quote: Quote) -> str:
    """A small table: one line an item, the total, and the two dates."""
    rows = [_row(line.label, str(line.amount)) for line in quote.lines]
    rows.append("-" * WIDTH)
    rows.append(_row("Total EUR", str(quote.total)))
    rows.append("")
    rows.append(f"Delivery on {quote.delivery:%a %d %b %Y}")
    rows.append(f"Price valid until {quote.valid_until:%d %b %Y}")
    return "\n".join(rows)


def _row(label: str, amount: str) -> str:
    return f"{label[: WIDTH - len(amount) - 1]:<{WIDTH - len(amount)}}{amount}"
