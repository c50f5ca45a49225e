"""Decimal amounts and the one place where they are rounded."""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def cents(value):
    """Rounds to whole cents, half a cent away from zero."""
    return Decimal(value).quantize(CENT, rounding=ROUND_HALF_UP)


def interest(amount, percent, days):
    """Simple interest for late payment. Banks round half a cent to the even one."""
    raw = Decimal(amount) * Decimal(percent) / 100 * days / 360
    return raw.quantize(CENT, rounding=ROUND_HALF_EVEN)


def split_evenly(amount, parts):
    """Splits an amount into `parts` that add up to it; the first ones carry the odd cents."""
    if parts < 1:
        raise ValueError("parts must be at least 1")
    total = int(cents(amount) * 100)
    each, rest = divmod(total, parts)
    return [Decimal(each + (1 if index < rest else 0)) / 100 for index in range(parts)]


def show(amount, currency="EUR"):
    """`1234.5` becomes `EUR 1,234.50`."""
    return f"{currency} {cents(amount):,.2f}"
