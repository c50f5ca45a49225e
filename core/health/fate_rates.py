"""How many published patches were merged unchanged, merged with changes or reverted, by what published them."""

from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

_RATES = """
SELECT source, engine, verdict, fate, sum(patches)::integer FROM published_fates
GROUP BY source, engine, verdict, fate ORDER BY source, engine, verdict, fate
"""


@dataclass(frozen=True, slots=True)
class FateCount:
    """`patches` published for a source by an engine with a verdict (`pass` or `draft`) that met one fate."""

    source: str
    engine: str
    verdict: str
    fate: str
    patches: int


def read_fates(connection: Connection[TupleRow]) -> list[FateCount]:
    """The counts of the connection's team, or of every team."""
    return [FateCount(*row) for row in connection.execute(_RATES).fetchall()]
