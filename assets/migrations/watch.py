"""Measures what live work notices of a build: searches, by asking some, and indexing, by what its refreshes took.

A thread beside the build asks queries that people asked, as searches ask them, one in a while; it also reads
how long announced changes took to be searchable. What it cannot measure it says and goes on without.
"""

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context import model_vectors
from assets.context.postgres import NotIndexed
from assets.migrations import queries
from assets.migrations.build import Progress, build
from assets.migrations.throttle import FEWEST_CALM, Throttle
from assets.platform import Platform
from core.embedding import Embedder, EmbedderUnavailable

SEARCH = "search"
INDEXING = "indexing"

FEWEST_CHUNKS = 200
"""Fewer are embedded before anything is learned of live work: at the share that a throttle begins with."""

PROBE_QUERIES = 20
PROBE_SHARE = 0.05
"""Of one core's time, at most, goes into asking."""
_LEAST_PAUSE = 0.3
_WARM_UP_PROBES = 40
_WARM_UP_SECONDS = 5.0
_AFTER_FAILURE = 10.0
_INDEXING_EVERY = 5.0
_INDEXING_SLACK = 1.0
"""Seconds; changes are taken up by sensors that look once in a while."""

_LAGS = """
SELECT greatest(extract(epoch FROM visible_at - changed_at), 0)::double precision, visible_at FROM index_versions
WHERE changed_at IS NOT NULL AND visible_at > %(after)s ORDER BY visible_at DESC LIMIT 200
"""
_WAITING = """
SELECT extract(epoch FROM clock_timestamp() - min(waiting_since))::double precision FROM source_freshness
WHERE failures = 0 AND version IS NOT NULL
"""

Probe = Callable[[], object]
_log = logging.getLogger(__name__)


@contextmanager
def watched(platform: Platform, throttle: Throttle, identity: str) -> Iterator[Throttle]:
    """While this is open, live work is measured and the throttle told.

    Does nothing for a throttle that does not watch, nor where the model `identity` lacks only a little.
    """
    if not throttle.watches or not _much_to_do(platform, identity):
        yield throttle
        return
    watch = Watch(throttle, search_probes(platform), lambda: _indexing(platform))
    watch.warm_up()
    thread = threading.Thread(target=watch.run, name="penstock-watch", daemon=True)
    thread.start()
    try:
        yield throttle
    finally:
        watch.stop()
        thread.join(timeout=30)


def fill(
    platform: Platform,
    embedder: Embedder,
    throttle: Throttle,
    *,
    nice: int = 0,
    check: Callable[[], None] = lambda: None,
) -> Progress:
    """Like `build`, measured and throttled."""
    with watched(platform, throttle, embedder.identity):
        return build(platform.database, embedder, throttle=throttle, nice=nice, check=check)


def _much_to_do(platform: Platform, identity: str) -> bool:
    with platform.database.system() as connection:
        return sum(content.chunks for content in model_vectors.lacking(connection, identity)) >= FEWEST_CHUNKS


def search_probes(platform: Platform) -> list[Probe]:
    """One for each query that was asked lately, else for messages of past commits, else for words of paths; none
    where nothing is indexed."""
    with platform.database.system() as connection:
        asked = model_vectors.asked_queries(connection, PROBE_QUERIES)
        if len(asked) < PROBE_QUERIES:
            judged = queries.judged_queries(connection, platform.mirror, PROBE_QUERIES - len(asked))
            asked += [(query.team_id, query.source, query.text) for query in judged]
        if len(asked) < PROBE_QUERIES:
            asked += _words_of_paths(connection, PROBE_QUERIES - len(asked))

    def probe(team_id: uuid.UUID, source: str, text: str) -> Probe:
        return lambda: platform.search(team_id, source, text, 10)

    return [probe(*query) for query in asked]


def _words_of_paths(connection: Connection[TupleRow], most: int) -> list[tuple[uuid.UUID, str, str]]:
    """(team, source, text), evenly over the paths of each visible source."""
    found: list[tuple[uuid.UUID, str, str]] = []
    for team_id, source, _ in model_vectors.visible_sources(connection)[:most]:
        paths = sorted(model_vectors.visible_paths(connection, team_id, source))
        step = max(1, len(paths) // most)
        found += [(team_id, source, " ".join(re.findall(r"\w+", path))) for path in paths[::step]]
    return [query for query in found if query[2]][:most]


@dataclass
class Indexing:
    """`lags` of changes that became searchable since the last look, and how long the oldest one waits; seconds."""

    lags: list[float] = field(default_factory=list)
    waiting: float | None = None


def _indexing(platform: Platform) -> Callable[[], Indexing]:
    """A function that tells what is new at each call; the first tells what was before."""
    after = "-infinity"

    def look() -> Indexing:
        nonlocal after
        with platform.database.system() as connection:
            rows = connection.execute(_LAGS, {"after": after}).fetchall()
            waiting = _waiting(connection)
        if rows:
            after = rows[0][1].isoformat()
        return Indexing([row[0] for row in rows], waiting)

    return look


def _waiting(connection: Connection[TupleRow]) -> float | None:
    row = connection.execute(_WAITING).fetchone()
    return float(row[0]) if row and row[0] is not None else None


class Watch:
    """Runs in a thread of its own until it is stopped."""

    def __init__(
        self,
        throttle: Throttle,
        probes: Sequence[Probe],
        indexing: Callable[[], Callable[[], Indexing]] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._throttle = throttle
        self._probes = list(probes)
        self._look = indexing() if indexing else None
        self._clock = clock
        self._stopped = threading.Event()
        self._asked = 0
        self._told: set[str] = set()

    def warm_up(self) -> None:
        """Before anything is embedded: what is undisturbed. The first round is not counted, for its cold caches."""
        began = self._clock()
        for _ in self._probes:
            if self._clock() - began > _WARM_UP_SECONDS / 2 or self._ask(count=False) is None:
                break
        counted, limit = 0, began + _WARM_UP_SECONDS
        while self._probes and counted < _WARM_UP_PROBES and (self._clock() < limit or counted < FEWEST_CALM):
            if self._ask() is None:
                break
            counted += 1
        if self._look is not None and (found := self._indexing()) is not None:
            self._throttle.undisturbed(INDEXING, found.lags, slack=_INDEXING_SLACK)
        if self._throttle.limit(SEARCH) is None and self._throttle.limit(INDEXING) is None:
            self._throttle.release()

    def run(self) -> None:
        try:
            self._go_on()
        except Exception:  # of a thread that nobody joins in time: the build goes on at the share that it has
            _log.exception("what searches and indexing notice of the build is no longer measured")

    def _go_on(self) -> None:
        looked = self._clock()
        pause = _LEAST_PAUSE
        while not self._stopped.wait(pause):
            taken = self._ask()
            pause = _AFTER_FAILURE if taken is None else max(_LEAST_PAUSE, taken / PROBE_SHARE)
            if self._look is not None and self._clock() - looked >= _INDEXING_EVERY:
                looked = self._clock()
                self._see_indexing()

    def stop(self) -> None:
        self._stopped.set()

    def _ask(self, *, count: bool = True) -> float | None:
        """Seconds of one search; None when there is none to ask, or it failed."""
        if not self._probes:
            return None
        probe = self._probes[self._asked % len(self._probes)]
        self._asked += 1
        mark = self._throttle.mark()
        began = self._clock()
        try:
            probe()
        except (EmbedderUnavailable, NotIndexed, psycopg.Error) as error:
            self._tell(f"searches cannot be measured now: {error}")
            return None
        taken = self._clock() - began
        if count:
            self._throttle.saw(SEARCH, taken, mark)
        return taken

    def _see_indexing(self) -> None:
        found = self._indexing()
        if found is None:
            return
        for lag in found.lags:
            self._throttle.saw(INDEXING, lag, slack=_INDEXING_SLACK)
        limit = self._throttle.limit(INDEXING)
        # A change that waits for longer than it may has no lag yet: it counts before it is too late.
        if found.waiting is not None and limit is not None and found.waiting > limit:
            self._throttle.saw(INDEXING, found.waiting, slack=_INDEXING_SLACK)

    def _indexing(self) -> Indexing | None:
        if self._look is None:
            return None
        try:
            return self._look()
        except psycopg.Error as error:
            self._tell(f"indexing cannot be measured now: {error}")
            return None

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.warning("%s", text)
