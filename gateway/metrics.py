"""What the gateway counts, in the Prometheus format. One registry for each app, so that tests can have many."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.deliveries = Counter(
            "penstock_deliveries",
            "Deliveries answered, by origin and by what became of them (task, change, ignored, duplicate).",
            ["origin", "state"],
            registry=self.registry,
        )
        self.refused = Counter(
            "penstock_refused", "Requests refused, by reason.", ["route", "code"], registry=self.registry
        )
        self.seconds = Histogram(
            "penstock_request_seconds",
            "From the first byte of a request to the last of its answer; streams excepted.",
            ["method", "route", "status"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.streams = Gauge("penstock_streams", "Open event streams.", registry=self.registry)
        self.tasks = Gauge("penstock_tasks", "Tasks by state.", ["state"], registry=self.registry)
        self.log_end = Gauge(
            "penstock_log_end_offset", "Offset after the last event of each topic.", ["topic"], registry=self.registry
        )

    def render(self) -> bytes:
        return generate_latest(self.registry)
