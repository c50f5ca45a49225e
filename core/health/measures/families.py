"""Families of metrics as data, so that dashboards, alerts and documentation can be checked against them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from psycopg import Connection

from core.settings import Settings

MOST_SERIES = 500
"""Series of one family; of more, the first are shown. A family whose label has many values sorts what matters first."""
LABEL_CHARACTERS = 120


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Family:
    """`name` is without the suffixes `_total` and `_bucket`, which the format adds."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.GAUGE

    @property
    def series(self) -> tuple[str, ...]:
        """The names by which queries find it."""
        if self.kind is Kind.COUNTER:
            return (f"{self.name}_total",)
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "sum", "count"))
        return (self.name,)


@dataclass(frozen=True)
class Sample:
    """One value. `part` is the suffix of a histogram's sample, whose last label is then `le` for a bucket."""

    family: str
    labels: tuple[str, ...]
    value: float
    part: str = ""


@dataclass(frozen=True)
class Source:
    """What groups read from. `connection` is None for a group that needs no database."""

    connection: Connection[Any] | None
    settings: Settings

    def rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        assert self.connection is not None  # noqa: S101  groups say whether they need it
        return self.connection.execute(query.encode(), parameters).fetchall()


@dataclass(frozen=True)
class Group:
    """Families that are read together; when that fails, the others are still shown."""

    name: str
    families: tuple[Family, ...]
    read: Callable[[Source], Iterable[Sample]]
    needs_database: bool = True

    def samples(self, source: Source) -> Iterator[Sample]:
        """At most `MOST_SERIES` of each family, with bounded labels."""
        seen: dict[str, int] = {}
        for sample in self.read(source):
            key = sample.family + sample.part
            seen[key] = seen.get(key, 0) + 1
            if seen[key] <= MOST_SERIES:
                labels = tuple(label.replace("\0", "")[:LABEL_CHARACTERS] for label in sample.labels)
                yield Sample(sample.family, labels, float(sample.value), sample.part)
