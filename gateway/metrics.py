"""The gateway's metrics in the Prometheus format. Each app has its own registry, so that tests can have many."""

import threading
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from core.health.eval_status import EvalStatus
from core.health.fate_rates import FateCount
from core.health.freshness import SourceFreshness
from core.health.ledger import Ledger
from core.health.migration_health import MigrationHealth

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    def __init__(self) -> None:
        self._showing = threading.Lock()
        self.registry = CollectorRegistry()
        self.deliveries = Counter(
            "penstock_deliveries",
            "Deliveries answered, by origin and outcome (task, change, ignored, duplicate).",
            ["origin", "state"],
            registry=self.registry,
        )
        self.refused = Counter(
            "penstock_refused", "Requests refused, by reason.", ["route", "code"], registry=self.registry
        )
        self.seconds = Histogram(
            "penstock_request_seconds",
            "Time from the first byte of a request to the last byte of its answer, without streams.",
            ["method", "route", "status"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.streams = Gauge("penstock_streams", "Open event streams.", registry=self.registry)
        self.tasks = Gauge("penstock_tasks", "Tasks by state.", ["state"], registry=self.registry)
        self.log_end = Gauge(
            "penstock_log_end_offset", "Offset after the last event of each topic.", ["topic"], registry=self.registry
        )
        self.index_lag = self._of_source(
            "penstock_index_lag_seconds", "Time from accepting the last announced change until it was searchable."
        )
        self.index_waiting = self._of_source("penstock_index_waiting_changes", "Announced changes not indexed yet.")
        self.index_waiting_seconds = self._of_source(
            "penstock_index_waiting_seconds", "Age of the oldest announced change that is not indexed yet."
        )
        self.index_failures = self._of_source(
            "penstock_index_failed_refreshes", "Failed refreshes of a source since its last successful one."
        )
        self.index_looked = self._of_source(
            "penstock_index_look_age_seconds", "Time since the head of a source's branch was compared with its index."
        )
        self.model_lag = self._of_source(
            "penstock_index_model_lag_seconds",
            "Time from accepting the last announced change that a model covers until the model covered it.",
            "model",
        )
        self.model_behind = self._of_source(
            "penstock_index_model_behind_seconds", "Time since a model last covered the visible version.", "model"
        )
        self.migration_quiet = Gauge(
            "penstock_migration_quiet_seconds",
            "Time for which the open migration of embedding models has made no progress; 0 while it need not.",
            ["migration", "state"],
            registry=self.registry,
        )
        self.migration_stalled = Gauge(
            "penstock_migration_stalled",
            "1 if the open migration of embedding models has made no progress for too long.",
            ["migration", "state"],
            registry=self.registry,
        )
        self.fates = Gauge(
            "penstock_published_patches",
            "Published patches by what became of them: open, closed, merged unchanged, merged changed, reverted.",
            ["source", "engine", "verdict", "fate"],
            registry=self.registry,
        )
        self.ledger = Gauge(
            "penstock_ledger",
            "Deliveries accepted during the last day, by sender and by what became of them.",
            ["origin", "outcome"],
            registry=self.registry,
        )
        self.unaccounted = Gauge(
            "penstock_ledger_unaccounted",
            "Deliveries of the last day that are lost, and attempts that ended without an outcome event; must be 0.",
            registry=self.registry,
        )
        self.eval_drifted = self._of_eval(
            "penstock_eval_drifted", "1 if the newest run is worse than the previous run of the same subject."
        )
        self.eval_success = self._of_eval("penstock_eval_success", "Success of the newest run, from 0 to 1.")
        self.eval_started = self._of_eval(
            "penstock_eval_started_timestamp_seconds", "Start of the newest run, in seconds since 1970."
        )

    def _of_eval(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, f"{meaning} By eval set and subject.", ["set", "subject"], registry=self.registry)

    def show_ledger(self, found: Ledger) -> None:
        """Replaces the ledger with this one."""
        with self._showing:
            self.ledger.clear()
            for (origin, outcome), count in found.entries.items():
                self.ledger.labels(origin, outcome).set(count)
            self.unaccounted.set(found.lost + found.without_outcome)

    def show_fates(self, found: Sequence[FateCount]) -> None:
        """Replaces the counts of published patches with these."""
        with self._showing:
            self.fates.clear()
            for one in found:
                self.fates.labels(one.source, one.engine, one.verdict, one.fate).set(one.patches)

    def show_evals(self, found: Sequence[EvalStatus]) -> None:
        """Replaces the metrics of evals with these."""
        with self._showing:
            for gauge in (self.eval_drifted, self.eval_success, self.eval_started):
                gauge.clear()
            for one in found:
                labels = (one.set_name, one.subject)
                self.eval_drifted.labels(*labels).set(bool(one.drifted))
                self.eval_started.labels(*labels).set(one.at.timestamp())
                if one.success is not None:
                    self.eval_success.labels(*labels).set(one.success)

    def show_migration(self, found: MigrationHealth | None) -> None:
        """Replaces the metrics of migrations with those of the open migration, if there is one."""
        with self._showing:
            self.migration_quiet.clear()
            self.migration_stalled.clear()
            if found is not None:
                labels = (str(found.number), found.state)
                self.migration_quiet.labels(*labels).set(0.0 if found.waits_for else found.quiet_seconds)
                self.migration_stalled.labels(*labels).set(found.stalled is not None)

    def _of_source(self, name: str, meaning: str, *more: str) -> Gauge:
        return Gauge(name, f"{meaning} By source.", ["team", "source", *more], registry=self.registry)

    def show_freshness(self, found: Sequence[SourceFreshness]) -> None:
        """Replaces the metrics of sources with these, so that removed sources disappear."""
        with self._showing:
            for gauge in (
                self.index_lag,
                self.index_waiting,
                self.index_waiting_seconds,
                self.index_failures,
                self.index_looked,
                self.model_lag,
                self.model_behind,
            ):
                gauge.clear()
            for one in found:
                labels = (str(one.team_id), one.source)
                if one.lag_seconds is not None:
                    self.index_lag.labels(*labels).set(one.lag_seconds)
                self.index_waiting.labels(*labels).set(one.waiting)
                self.index_waiting_seconds.labels(*labels).set(one.waiting_seconds)
                self.index_failures.labels(*labels).set(one.failures)
                if one.look_seconds is not None:
                    self.index_looked.labels(*labels).set(one.look_seconds)
                for model in one.models:
                    if model.lag_seconds is not None:
                        self.model_lag.labels(*labels, model.model).set(model.lag_seconds)
                    self.model_behind.labels(*labels, model.model).set(model.behind_seconds)

    def render(self) -> bytes:
        return generate_latest(self.registry)
