"""Amounts in cents."""


def parse(text):
    """Cents of an amount such as `12.50`, `12` or `-0.05`."""
    sign = -1 if text.startswith("-") else 1
    whole, _, part = text.lstrip("-").partition(".")
    if len(part) > 2:
        raise ValueError(f"more than two decimals: {text}")
    return sign * (int(whole or "0") * 100 + int(part.ljust(2, "0")))


def show(cents):
    """An amount as people write it: `12.50`."""
    sign = "-" if cents < 0 else ""
    whole, part = divmod(abs(cents), 100)
    return f"{sign}{whole}.{part:02}"


def share(cents, percent):
    """A percentage of an amount, rounded half up."""
    scaled = abs(cents) * percent
    rounded = (scaled + 50) // 100
    return rounded if cents >= 0 else -rounded
