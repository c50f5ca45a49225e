"""What the gateway counts itself, and the text that a scrape gets. Each app has its own registry, so that tests can
have many. What is read from the database is in `gateway.scrape`."""

from collections.abc import Iterable, Iterator
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric

from core.health.measures import Family, Kind, Sample

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        build = Gauge("penstock_build_info", "1, with the version.", ["version"], registry=self.registry)
        build.labels(version("penstock")).set(1)
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

    def render(self, read: Iterable[Metric]) -> bytes:
        """The text format: what was `read`, after what this process counts."""
        return generate_latest(_Joined(self.registry, tuple(read)))


class _Joined:
    def __init__(self, registry: CollectorRegistry, read: tuple[Metric, ...]) -> None:
        self._registry, self._read = registry, read

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        yield from self._read


def as_metrics(families: Iterable[Family], samples: Iterable[Sample]) -> list[Metric]:
    """Families with their samples, for the text format; one without samples has only its description."""
    known = {family.name: (family, Metric(family.name, family.help, family.kind)) for family in families}
    for sample in samples:
        family, metric = known[sample.family]
        names = (*family.labels, "le") if sample.part == "_bucket" else family.labels
        suffix = "_total" if family.kind is Kind.COUNTER else sample.part
        metric.add_sample(family.name + suffix, dict(zip(names, sample.labels, strict=True)), sample.value)
    return [metric for _, metric in known.values()]
