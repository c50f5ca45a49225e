"""Measures a backfill's effect on live traffic: the latency of searches, by asking some, and of index refreshes.

A thread beside the build has queries that people asked be asked by a process of their own (`probe.py`), one in a
while; it also reads how long announced changes took to be searchable. What it cannot measure it says and goes on
without.
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
from assets.migrations.backfill.probe import CannotAsk, Probe, Question, Taken
from assets.migrations.backfill.throttle import FEWEST_CALM, Throttle
from assets.migrations.gate import queries
from assets.platform import Platform
from core.embedding import Embedder

SEARCH = "search"
INDEXING = "indexing"

FEWEST_CHUNKS = 200
"""Fewer are embedded before anything is learned of live work: at the share that a throttle begins with."""

PROBE_QUERIES = 20
PROBE_SHARE = 0.03
"""Of one core's time, at most, goes into asking, but in rests for comparison: where more than a twentieth of searches
met one that is asked, asking itself would raise their 95th percentile. Processor time, not waiting: on a busy machine
searches wait for long, and just there many measures are needed."""

_WITH_DATABASE = 2.0
"""So many times its own processor time a search costs with the database's."""
_LEAST_PAUSE = 0.3
_COMPARING_PAUSE = 0.1
_TICK = 0.05
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

Ask = Callable[[Question], Taken]
"""Times one search. Raises `CannotAsk`."""

_log = logging.getLogger(__name__)


@contextmanager
def watched(platform: Platform, throttle: Throttle, identity: str) -> Iterator[Throttle]:
    """While this is open, live traffic is measured and the throttle told.

    Does nothing for a throttle that does not watch, nor where the model `identity` lacks only a little.
    """
    if not throttle.watches or not _much_to_do(platform, identity):
        yield throttle
        return
    probe = Probe(platform)
    watch = Watch(throttle, search_questions(platform), probe.ask, lambda: _indexing(platform))
    thread = threading.Thread(target=watch.run, name="penstock-watch", daemon=True)
    try:
        watch.warm_up()
        thread.start()
        yield throttle
    finally:
        watch.stop()
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
    """Like `build`, measured and throttled."""
    with watched(platform, throttle, embedder.identity):
        return build(platform.database, embedder, throttle=throttle, nice=nice, check=check)


def _much_to_do(platform: Platform, identity: str) -> bool:
    with platform.database.system() as connection:
        return sum(content.chunks for content in model_vectors.lacking(connection, identity)) >= FEWEST_CHUNKS


def search_questions(platform: Platform) -> list[Question]:
    """What was asked lately, else messages of past commits, else words of paths; none where nothing is indexed."""
    with platform.database.system() as connection:
        asked = [Question(*query) for query in model_vectors.asked_queries(connection, PROBE_QUERIES)]
        if len(asked) < PROBE_QUERIES:
            judged = queries.judged_queries(connection, platform.mirror, PROBE_QUERIES - len(asked))
            asked += [Question(query.team_id, query.source, query.text) for query in judged]
        if len(asked) < PROBE_QUERIES:
            asked += _words_of_paths(connection, PROBE_QUERIES - len(asked))
    return asked


def _words_of_paths(connection: Connection[TupleRow], most: int) -> list[Question]:
    """Evenly over the paths of each visible source."""
    found: list[Question] = []
    for team_id, source, _ in model_vectors.visible_sources(connection)[:most]:
        paths = sorted(model_vectors.visible_paths(connection, team_id, source))
        step = max(1, len(paths) // most)
        found += [Question(team_id, source, " ".join(re.findall(r"\w+", path))) for path in paths[::step]]
    return [question for question in found if question.text][:most]


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
        questions: Sequence[Question],
        ask: Ask,
        indexing: Callable[[], Callable[[], Indexing]] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._throttle = throttle
        self._questions = list(questions)
        self._search = ask
        self._look = indexing() if indexing else None
        self._clock = clock
        self._stopped = threading.Event()
        self._asked = 0
        self._told: set[str] = set()

    def warm_up(self) -> None:
        """Before anything is embedded: what is undisturbed. The first round is not counted, for its cold caches."""
        goes = self._ask(count=False) is not None  # opens what searches need
        began, counted = self._clock(), 0
        for _ in self._questions[1:]:
            if not goes or self._clock() - began > _WARM_UP_SECONDS / 2:
                break
            goes = self._ask(count=False) is not None
        limit = began + _WARM_UP_SECONDS
        while goes and counted < _WARM_UP_PROBES and (self._clock() < limit or counted < FEWEST_CALM):
            goes = self._ask() is not None
            counted += 1
        if self._look is not None and (found := self._indexing()) is not None:
            self._throttle.undisturbed(INDEXING, found.lags, slack=_INDEXING_SLACK)
        if self._throttle.limit(SEARCH) is None and self._throttle.limit(INDEXING) is None:
            self._throttle.release()

    def run(self) -> None:
        try:
            self._go_on()
        except Exception:  # of a thread that nobody joins in time: the build goes on at the share that it has
            _log.exception("the backfill's effect on live traffic is no longer measured")

    def _go_on(self) -> None:
        looked = asked = self._clock()
        pause, taken = _LEAST_PAUSE, None
        while not self._stopped.wait(_TICK):
            now = self._clock()
            if self._look is not None and now - looked >= _INDEXING_EVERY:
                looked = now
                self._see_indexing()
            soon = taken is not None and self._throttle.compares
            if now - asked >= (_COMPARING_PAUSE if soon else pause):
                taken = self._ask()
                pause = _AFTER_FAILURE if taken is None else _pause(taken)
                asked = self._clock()

    def stop(self) -> None:
        self._stopped.set()

    def _ask(self, *, count: bool = True) -> Taken | None:
        """One search; None when there is none to ask, or it failed."""
        if not self._questions or self._stopped.is_set():
            return None
        question = self._questions[self._asked % len(self._questions)]
        self._asked += 1
        try:
            taken = self._search(question)
        except CannotAsk as error:
            if not self._stopped.is_set():
                self._tell(f"searches cannot be measured now: {error}")
            return None
        if count:
            self._throttle.saw(SEARCH, taken.seconds, taken.began)
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


def _pause(after: Taken) -> float:
    # Half of the time, at most, a server that embeds queries is waited for.
    return min(_AFTER_FAILURE, max(_LEAST_PAUSE, after.seconds, _WITH_DATABASE * after.worked / PROBE_SHARE))
