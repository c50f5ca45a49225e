"""Counts of things as a person reads them."""


def counted(count: int, noun: str) -> str:
    """`1 edit`, `2 edits`, `20,000 edits`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
