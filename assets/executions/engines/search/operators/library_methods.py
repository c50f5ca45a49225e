"""Methods of the standard library that are easily taken for one another: of one type, and with names alike."""

from functools import cache
from typing import Any

_PREFIX = 4
_MOST = 6


def _types() -> list[Any]:
    import collections
    import datetime
    import decimal
    import fractions
    import io
    import pathlib
    import re

    return [
        str, bytes, list, tuple, dict, set, int, float, complex,
        datetime.datetime, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, fractions.Fraction,
        pathlib.PurePath, pathlib.Path, re.Pattern, re.Match, io.StringIO, io.BytesIO, io.TextIOWrapper,
        collections.deque, collections.Counter, collections.OrderedDict, collections.ChainMap,
    ]  # fmt: skip


@cache
def _methods() -> tuple[frozenset[str], ...]:
    return tuple(
        frozenset(name for name in dir(one) if not name.startswith("_") and callable(getattr(one, name)))
        for one in _types()
    )


@cache
def library_siblings(name: str) -> tuple[str, ...]:
    """Other methods of the types that have a method `name`, which begin or end as it does; the nearest in length
    first."""
    found = {
        other for methods in _methods() if name in methods for other in methods if other != name and _alike(name, other)
    }
    return tuple(sorted(found, key=lambda other: (abs(len(other) - len(name)), other))[:_MOST])


def _alike(name: str, other: str) -> bool:
    shorter, longer = sorted((name, other), key=len)
    return (
        longer.startswith(shorter)
        or longer.endswith(shorter)
        or (name[:_PREFIX] == other[:_PREFIX] and len(shorter) > _PREFIX)
    )
