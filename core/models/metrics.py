"""The proxy's own metrics in the Prometheus format, in a registry of their own.

Labels are bounded: models, versions and backends are those of the configuration, the rest are words of this code.
"""

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from core.models.pool import Pool

SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_STATES = ("up", "trial", "ejected", "down")
_P = "penstock_model_proxy"


class ProxyMetrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"{_P}_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"{_P}_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str) -> Histogram:
            return Histogram(f"{_P}_{name}", meaning, ["model", "version"], buckets=SECONDS, registry=registry)

        self.requests = counter(
            "requests",
            "Requests answered, by outcome (ok, refused, failed, broken, gone).",
            "model",
            "version",
            "outcome",
        )
        self.refused = counter("refused", "Requests that the proxy refused, by reason.", "code")
        self.seconds = histogram("request_seconds", "Time from a request to the end of its answer.")
        self.first_byte = histogram("first_byte_seconds", "Time from a request to the first token of its stream.")
        self.queue_seconds = histogram("queue_seconds", "Time that a request waited for a free server.")
        self.shadow_seconds = histogram("shadow_seconds", "Time that copies of requests took.")
        self.tokens = counter("tokens", "Tokens, by kind (prompt, completion).", "model", "version", "kind")
        self.money = counter("money", "Cost of requests, in the currency of the prices.", "model", "version")
        self.failures = counter("backend_failures", "Failures of servers, by kind.", "backend", "kind")
        self.retries = counter("retries", "Requests that were sent to another server.", "model")
        self.ejections = counter("backend_ejections", "Times that a server was taken out for its failures.", "backend")
        self.wakes = counter(
            "wakes", "Servers woken from zero, by outcome (asked, failed, late).", "backend", "outcome"
        )
        self.shadows = counter(
            "shadow_requests", "Copies of requests, by outcome (ok, failed, left_out).", "model", "version", "outcome"
        )
        self.accounted = counter("accounting_written", "Requests whose account is in the database.")
        self.lost = counter("accounting_lost", "Requests whose account was dropped: the database was away too long.")
        self.buffered = gauge("accounting_waiting", "Requests whose account is not in the database yet.")
        self.config_errors = counter("config_errors", "Changed configurations that were refused.")
        self.in_flight = gauge("in_flight", "Requests at a server.", "backend")
        self.state = gauge("backend_state", "1 for the state that a server is in.", "backend", "state")
        self.loaded = gauge("backend_loaded", "1 if the model is in the server's memory.", "backend")
        self.waiting = gauge("queue_length", "Requests that wait for a free server.", "model")
        self.last_request = gauge(
            "last_request_timestamp_seconds",
            "Last request sent to a version, in seconds since 1970.",
            "model",
            "version",
        )

    def show(self, pools: Iterable[Pool]) -> None:
        """Replaces what is shown of servers and queues, so that removed ones disappear."""
        for one in (self.in_flight, self.state, self.loaded, self.waiting, self.last_request):
            one.clear()
        now = time.monotonic()
        for pool in pools:
            self.waiting.labels(pool.model.name).set(pool.waiting)
            for version, at in pool.last_request.items():
                self.last_request.labels(pool.model.name, version).set(at)
            for name, backend in pool.backends.items():
                self.in_flight.labels(name).set(backend.in_flight)
                state = backend.state(now)
                for known in _STATES:
                    self.state.labels(name, known).set(known == state)
                if backend.loaded is not None:
                    self.loaded.labels(name).set(backend.loaded)

    def render(self) -> bytes:
        return generate_latest(self.registry)
