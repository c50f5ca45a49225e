"""Measures a backfill's effect on live traffic: the latency of searches and of index refreshes.

A thread times sample searches in a separate process (`probe.py`) and reads how long announced changes took to become
searchable. It logs what cannot be measured and continues without it.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.models import model_vectors
from assets.migrations.backfill.build import Progress, build
from assets.migrations.backfill.probe import Probe, ProbeFailed, ProbeQuery, Timing
from assets.migrations.backfill.throttle import FEWEST_BASELINE, Throttle
from assets.migrations.gate import queries
from assets.platform import Platform
from core.embedding import Embedder

SEARCH = "search"
INDEXING = "indexing"

FEWEST_CHUNKS = 200
"""Fewer chunks are embedded before anything is known of live traffic, at the share that a throttle starts with."""

PROBE_QUERIES = 20
PROBE_SHARE = 0.03
"""The largest share of one core that sample searches use, outside of pauses for the baseline: if more than a twentieth
of searches overlapped a sample search, sampling itself would raise their 95th percentile. Processor time, not elapsed
time: on a busy machine searches take long, and many latencies are needed just then."""

_WITH_DATABASE = 2.0
"""The processor time of a search including the database's, as a multiple of its own."""
_LEAST_PAUSE = 0.3
_COMPARING_PAUSE = 0.1
_TICK = 0.05
_WARM_UP_PROBES = 40
_WARM_UP_SECONDS = 5.0
_AFTER_FAILURE = 10.0
_INDEXING_EVERY = 5.0
_INDEXING_SLACK = 1.0
"""Seconds; sensors, which poll, pick changes up."""

_LAGS = """
SELECT greatest(extract(epoch FROM visible_at - changed_at), 0)::double precision, visible_at FROM index_versions
WHERE changed_at IS NOT NULL AND visible_at > %(after)s ORDER BY visible_at DESC LIMIT 200
"""
_WAITING = """
SELECT extract(epoch FROM clock_timestamp() - min(waiting_since))::double precision FROM source_freshness
WHERE failures = 0 AND version IS NOT NULL
"""

_log = logging.getLogger(__name__)


@contextmanager
def monitored(platform: Platform, throttle: Throttle, identity: str) -> Iterator[None]:
    """Measures live traffic and passes the latencies to the throttle while the context lasts.

    Does nothing for a throttle that does not measure, nor where the model `identity` lacks few chunks.
    """
    if not throttle.measures or not _much_to_do(platform, identity):
        yield
        return
    probe = Probe(platform)
    monitor = TrafficMonitor(throttle, probe_queries(platform), probe.search, _indexing_reader(platform))
    thread = threading.Thread(target=monitor.run, name="penstock-monitor", daemon=True)
    try:
        monitor.warm_up()
        thread.start()
        yield
    finally:
        monitor.stop()
        probe.close()
        if thread.ident is not None:
            thread.join(timeout=30)


def fill(
    platform: Platform,
    embedder: Embedder,
    throttle: Throttle,
    *,
    nice: int = 0,
    check: Callable[[], None] = lambda: None,
) -> Progress:
    """As `build`, monitored and throttled."""
    with monitored(platform, throttle, embedder.identity):
        return build(platform.database, embedder, throttle=throttle, nice=nice, check=check)


def _much_to_do(platform: Platform, identity: str) -> bool:
    with platform.database.system() as connection:
        return sum(content.chunks for content in model_vectors.lacking(connection, identity)) >= FEWEST_CHUNKS


def probe_queries(platform: Platform) -> list[ProbeQuery]:
    """At most `PROBE_QUERIES`: recent user queries, then messages of past commits, then words of paths. Empty where
    nothing is indexed."""
    with platform.database.system() as connection:
        found = [ProbeQuery(*query) for query in model_vectors.asked_queries(connection, PROBE_QUERIES)]
        if len(found) < PROBE_QUERIES:
            judged = queries.judged_queries(connection, platform.mirror, PROBE_QUERIES - len(found))
            found += [ProbeQuery(query.team_id, query.source, query.text) for query in judged]
        if len(found) < PROBE_QUERIES:
            found += _words_of_paths(connection, PROBE_QUERIES - len(found))
    return found


def _words_of_paths(connection: Connection[TupleRow], most: int) -> list[ProbeQuery]:
    """Evenly spread over the paths of each visible source."""
    found: list[ProbeQuery] = []
    for team_id, source, _ in model_vectors.visible_sources(connection)[:most]:
        paths = sorted(model_vectors.visible_paths(connection, team_id, source))
        step = max(1, len(paths) // most)
        found += [ProbeQuery(team_id, source, " ".join(re.findall(r"\w+", path))) for path in paths[::step]]
    return [query for query in found if query.text][:most]


@dataclass
class Indexing:
    """`lags` of changes that became searchable since the last read, and how long the oldest pending one has waited;
    seconds."""

    lags: list[float] = field(default_factory=list)
    waiting: float | None = None


def _indexing_reader(platform: Platform) -> Callable[[], Indexing]:
    """A function whose first call returns the latest lags so far, and each later one those that are new."""
    after = "-infinity"

    def read() -> Indexing:
        nonlocal after
        with platform.database.system() as connection:
            rows = connection.execute(_LAGS, {"after": after}).fetchall()
            waiting = connection.execute(_WAITING).fetchall()[0][0]
        if rows:
            after = rows[0][1].isoformat()
        return Indexing([row[0] for row in rows], waiting)

    return read


class TrafficMonitor:
    """Times searches with `search`, which raises `ProbeFailed`, and reads indexing lags with `indexing`."""

    def __init__(
        self,
        throttle: Throttle,
        sample: Sequence[ProbeQuery],
        search: Callable[[ProbeQuery], Timing],
        indexing: Callable[[], Indexing] = Indexing,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._throttle = throttle
        self._sample = list(sample)
        self._search = search
        self._indexing = indexing
        self._clock = clock
        self._stopped = threading.Event()
        self._searches = 0
        self._warned: set[str] = set()

    def warm_up(self) -> None:
        """Measures the baseline before anything is embedded; the first round, with cold caches, is not counted."""
        answers = self._time_search(count=False) is not None  # starts the process and opens what searches need
        began, counted = self._clock(), 0
        for _ in self._sample[1:]:
            if not answers or self._clock() - began > _WARM_UP_SECONDS / 2:
                break
            answers = self._time_search(count=False) is not None
        limit = began + _WARM_UP_SECONDS
        while answers and counted < _WARM_UP_PROBES and (self._clock() < limit or counted < FEWEST_BASELINE):
            answers = self._time_search() is not None
            counted += 1
        self._throttle.add_baseline(INDEXING, self._read_indexing().lags, slack=_INDEXING_SLACK)
        if self._throttle.limit(SEARCH) is None and self._throttle.limit(INDEXING) is None:
            self._throttle.release()

    def run(self) -> None:
        """Measures until `stop` is called; for a thread of its own."""
        try:
            self._measure()
        except Exception:  # nobody waits for this thread's outcome: the build continues at its present share
            _log.exception("the backfill's effect on live traffic is no longer measured")

    def stop(self) -> None:
        self._stopped.set()

    def _measure(self) -> None:
        read_at = searched_at = self._clock()
        pause, timing = _LEAST_PAUSE, None
        while not self._stopped.wait(_TICK):
            now = self._clock()
            if now - read_at >= _INDEXING_EVERY:
                read_at = now
                self._record_indexing()
            comparing = timing is not None and self._throttle.comparing
            if now - searched_at >= (_COMPARING_PAUSE if comparing else pause):
                timing = self._time_search()
                pause = _AFTER_FAILURE if timing is None else _pause(timing)
                searched_at = self._clock()

    def _time_search(self, *, count: bool = True) -> Timing | None:
        """Times one search; None when there is no query, or the search failed."""
        if not self._sample or self._stopped.is_set():
            return None
        query = self._sample[self._searches % len(self._sample)]
        self._searches += 1
        try:
            timing = self._search(query)
        except ProbeFailed as error:
            if not self._stopped.is_set():
                self._warn(f"searches cannot be measured now: {error}")
            return None
        if count:
            self._throttle.record(SEARCH, timing.seconds, timing.began)
        return timing

    def _record_indexing(self) -> None:
        found = self._read_indexing()
        for lag in found.lags:
            self._throttle.record(INDEXING, lag, slack=_INDEXING_SLACK)
        limit = self._throttle.limit(INDEXING)
        # A change that has already waited too long has no lag yet: it counts before it becomes searchable.
        if found.waiting is not None and limit is not None and found.waiting > limit:
            self._throttle.record(INDEXING, found.waiting, slack=_INDEXING_SLACK)

    def _read_indexing(self) -> Indexing:
        try:
            return self._indexing()
        except psycopg.Error as error:
            self._warn(f"indexing cannot be measured now: {error}")
            return Indexing()

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            _log.warning("%s", text)


def _pause(after: Timing) -> float:
    # At most half of the time is spent waiting for a server that embeds queries.
    return min(_AFTER_FAILURE, max(_LEAST_PAUSE, after.seconds, _WITH_DATABASE * after.worked / PROBE_SHARE))
