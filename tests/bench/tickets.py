"""Latency of ticket search: the first query of a process, later ones, and ones after a change.

Synthetic trackers of 5,000 and 20,000 tickets with a comment on every second one; words are drawn by Zipf's law, as in
prose. Queries are excerpts of tickets. The time to load the embedding model is not included.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from assets.context.source.sources import add_source
from assets.context.tickets import corpus_cache, search
from assets.context.tickets.apply import BODY, apply, digest
from assets.context.tickets.index import index_tickets
from core.database import Database
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import upgrade
from core.embedding import Embedder, open_embedder
from core.events import DEFAULT_TEAM
from core.tickets import Kind, Service, Snapshot, State, TicketChange

FEW, MANY = 5_000, 20_000
QUERIES = 60
CHANGES = 20
START = datetime(2026, 1, 1, tzinfo=UTC)

# As an import leaves them.
_TICKET = (
    "INSERT INTO tickets (team_id, source, service, project, key, kind, title, created_at, updated_at) "
    "VALUES (%s, %s, 'github', 'acme/bench', %s, 'issue', %s, %s, %s)"
)
_PART = (
    "INSERT INTO ticket_parts (team_id, source, service, project, key, part, text, updated_at, blob) "
    "VALUES (%s, %s, 'github', 'acme/bench', %s, %s, %s, %s, %s)"
)


def measure() -> list[dict[str, Any]]:
    with _database() as (database, owner):
        embedder = open_embedder("wordllama")
        few, many = _Tracker(database, "few", FEW, embedder), _Tracker(database, "many", MANY, embedder)
        _analyse(owner)
        few_warm, many_warm = few.warm(QUERIES), many.warm(QUERIES)
        few_after, many_after = few.after_changes(CHANGES), many.after_changes(CHANGES)
        return [
            _row(f"ticket search among {MANY:,}, p50", many_warm, f"{FEW:,} tickets", few_warm),
            _row(f"first ticket search of a process, {MANY:,}", many.first(), f"{FEW:,} tickets", few.first()),
            _row(f"ticket search after a change of state, {MANY:,}", many_after, f"{FEW:,} tickets", few_after),
        ]


def _row(name: str, value: float, against: str, against_value: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 2),
        "unit": "ms",
        "against": against,
        "against_value": round(against_value, 2),
        "ratio": round(value / against_value, 2),
    }


class _Words:
    """Prose of made-up words."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        letters = "abcdefghijklmnoprstuvw"
        self._known = ["".join(self._random.choices(letters, k=self._random.randint(3, 9))) for _ in range(12_000)]
        self._weights = [1 / (rank + 3) for rank in range(len(self._known))]

    def some(self, count: int) -> str:
        return " ".join(self._random.choices(self._known, self._weights, k=count))


class _Tracker:
    def __init__(self, database: Database, source: str, count: int, embedder: Embedder) -> None:
        self.database, self.source, self.embedder = database, source, embedder
        add_source(database, DEFAULT_TEAM, source, "https://tracker.example/bench.git")
        words = _Words(count)
        tickets, parts, self.queries = [], [], []
        for number in range(1, count + 1):
            title, body = words.some(8), words.some(90)
            tickets.append((DEFAULT_TEAM, source, f"#{number}", title, START, START))
            parts.append((DEFAULT_TEAM, source, f"#{number}", BODY, body, START, digest(title, body)))
            if number % 2:
                remark = words.some(50)
                parts.append((DEFAULT_TEAM, source, f"#{number}", "1", remark, START, digest("", remark)))
            if number % max(1, count // QUERIES) == 0:
                self.queries.append(f"{title} {' '.join(body.split()[10:30])}")
        with database.team(DEFAULT_TEAM) as connection, connection.cursor() as cursor:
            cursor.executemany(_TICKET, tickets)
            cursor.executemany(_PART, parts)
        index_tickets(database, DEFAULT_TEAM, source, embedders=[embedder])

    def search(self, query: str) -> float:
        """The milliseconds of one search."""
        began = time.perf_counter()
        search.search_tickets(self.database, DEFAULT_TEAM, self.source, query, embedders=[self.embedder])
        return (time.perf_counter() - began) * 1000

    def warm(self, count: int) -> float:
        for query in self.queries[:10]:
            self.search(query)
        return statistics.median(map(self.search, self._cycle(count)))

    def first(self) -> float:
        """Like `search`, with nothing of the source in memory."""
        taken = []
        for query in self.queries[:5]:
            search._corpora = corpus_cache.CorpusCache()
            taken.append(self.search(query))
        return statistics.median(taken)

    def after_changes(self, count: int) -> float:
        taken = []
        for number, query in enumerate(self._cycle(count), start=1):
            with self.database.team(DEFAULT_TEAM) as connection:
                apply(connection, DEFAULT_TEAM, self.source, _closed(number), START + timedelta(days=1))
            taken.append(self.search(query))
        return statistics.median(taken)

    def _cycle(self, count: int) -> Sequence[str]:
        return [self.queries[n % len(self.queries)] for n in range(count)]


def _closed(number: int) -> TicketChange:
    told = Snapshot(state=State.CLOSED)
    where = {"service": Service.GITHUB, "project": "acme/bench", "key": f"#{number}", "kind": Kind.ISSUE}
    return TicketChange(**where, action="issues.closed", ticket=told)


def _analyse(owner: str) -> None:
    """Updates the planner's statistics, as autovacuum does within a minute after this many inserts."""
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("ANALYZE")


@contextmanager
def _database() -> Iterator[tuple[Database, str]]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "data")
        server.ensure_database("bench")
        owner = server.url("bench", owner=True)
        upgrade(owner, login=LOGIN)
        database = Database(server.url("bench"))
        try:
            yield database, owner
        finally:
            database.close()
            server.release()
