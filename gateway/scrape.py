"""Reads the groups of `core.health.measures` for a scrape: one reading at a time, reused for some seconds, and bounded
in time, so that neither many scrapers nor a slow database harm the gateway, or the database."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import psycopg
import structlog
from prometheus_client.metrics_core import Metric
from psycopg import Connection
from psycopg.rows import TupleRow

from core.database import Database
from core.health.measures import GROUPS, Family, Group, Sample, Source
from core.settings import Settings
from gateway.metrics import as_metrics

PATIENCE = 8.0
"""Seconds that a scrape waits for a reading; Prometheus gives up after ten by default."""
READING_SECONDS = 6.0
"""All queries of one reading together."""
QUERY_SECONDS = 3.0

OWN = (
    Family("penstock_database_up", "1 if the database has answered this scrape's queries, else 0."),
    Family(
        "penstock_metrics_group_failed", "1 if a group of metrics could not be read, and is missing here.", ("group",)
    ),
    Family("penstock_metrics_group_seconds", "How long it took to read a group of metrics.", ("group",)),
)
"""What a reading says of itself."""
FAMILIES = (*OWN, *(family for group in GROUPS for family in group.families))

_logger = structlog.get_logger("gateway")


@dataclass(frozen=True)
class Reading:
    at: float
    metrics: tuple[Metric, ...]


class Scraper:
    def __init__(self, settings: Settings, database: Database, groups: tuple[Group, ...] = GROUPS) -> None:
        self._settings, self._database, self._groups = settings, database, groups
        self._lock = threading.Lock()
        self._asked: Future[Reading] | None = None

    def read(self) -> tuple[Metric, ...]:
        """The newest reading. While one is under way, no second one begins."""
        with self._lock:
            asked = self._asked
            if asked is None or (asked.done() and self._is_old(asked)):
                asked = self._asked = Future()
                # A daemon thread, since a database that hangs must not keep this process from ending.
                threading.Thread(target=self._answer, args=(asked,), name="metrics", daemon=True).start()
        try:
            return asked.result(PATIENCE).metrics
        except TimeoutError:
            return tuple(as_metrics(OWN, self._without_database()))

    def _is_old(self, asked: "Future[Reading]") -> bool:
        return asked.exception() is not None or time.monotonic() - asked.result().at >= self._settings.metrics_seconds

    def _answer(self, asked: "Future[Reading]") -> None:
        try:
            samples = list(self._samples())
            families = (*OWN, *(family for group in self._groups for family in group.families))
            asked.set_result(Reading(time.monotonic(), tuple(as_metrics(families, samples))))
        except BaseException as error:
            asked.set_exception(error)

    def _samples(self) -> Iterator[Sample]:
        for group in self._groups:
            if not group.needs_database:
                yield from _read(group, Source(None, self._settings))
        try:
            with self._database.system() as connection:
                found = list(self._from_database(connection))
            yield from found
            yield Sample("penstock_database_up", (), 1)
        except psycopg.Error as error:
            _logger.warning("metrics without the database", error=type(error).__name__)
            yield from self._without_database()

    def _from_database(self, connection: Connection[TupleRow]) -> Iterator[Sample]:
        until = time.monotonic() + READING_SECONDS
        connection.execute("SET LOCAL transaction_read_only = on")
        for group in self._groups:
            if not group.needs_database:
                continue
            left = min(QUERY_SECONDS, until - time.monotonic())
            if left <= 0:
                yield Sample("penstock_metrics_group_failed", (group.name,), 1)
                continue
            connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(int(left * 1000) + 1),))
            yield from _read(group, Source(connection, self._settings))

    def _without_database(self) -> Iterator[Sample]:
        yield Sample("penstock_database_up", (), 0)
        for group in self._groups:
            if group.needs_database:
                yield Sample("penstock_metrics_group_failed", (group.name,), 1)


def _read(group: Group, source: Source) -> Iterator[Sample]:
    """The samples of one group: all, or none if any query fails. Raises `psycopg.Error` when the connection is lost."""
    began = time.monotonic()
    connection = source.connection
    try:
        if connection is None:
            samples = list(group.samples(source))
        else:
            with connection.transaction():
                samples = list(group.samples(source))
    except Exception as error:
        if connection is not None and (connection.closed or connection.broken):
            raise
        _logger.warning("a group of metrics could not be read", group=group.name, error=type(error).__name__)
        yield Sample("penstock_metrics_group_failed", (group.name,), 1)
        return
    yield from samples
    yield Sample("penstock_metrics_group_failed", (group.name,), 0)
    yield Sample("penstock_metrics_group_seconds", (group.name,), time.monotonic() - began)
