"""A statement as text."""

from __future__ import annotations

from bankfeed.model import Statement


def render(statement: Statement) -> str:
    lines = [f"Account {statement.account or 'unknown'} ({statement.currency})"]
    for entry in statement.entries:
        who = entry.counterparty or "-"
        lines.append(f"{entry.booked:%Y-%m-%d} {entry.amount:>12} {who[:24]:<24} {entry.text[:40]}".rstrip())
    lines.append(f"{'Turnover':<10} {statement.turnover:>12}")
    if not statement.balances:
        lines.append("The entries do not lead to the closing balance.")
    return "\n".join(lines)
