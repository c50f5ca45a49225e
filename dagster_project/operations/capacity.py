"""How many machines a load of tasks needs, and what gives out first: arithmetic on figures that were measured.

For each resource, demand is tasks an hour times what one task uses of it; one machine supplies `UTILISATION` of what it
measured, since queues grow without bound near 100% (M/M/c). The bottleneck is the resource with the highest demand for
its supply. Figures come from `bench-results.json`, else from `Figures`, which says where each was measured.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

UTILISATION = 0.7
"""Share of a resource that may be in use on average."""


class BadFigures(ValueError):
    """A figure cannot be used; the message names it."""


@dataclass(frozen=True)
class Figures:
    """What one task uses and one machine supplies. The defaults were measured by `python -m tests.bench` on 2 cores of
    x86-64, or are assumptions (`ASSUMED`)."""

    run_seconds: float = 9.8
    """Of a slot, for one task: webhook to published result, gVisor, 50%."""
    slot_cores: float = 1.0
    """Cores that a running task keeps busy."""
    slot_gb: float = 1.5
    """Memory of a running task and its test suite, in GB."""
    cores: float = 8.0
    """Of one machine for runs."""
    memory_gb: float = 32.0
    """Of one machine for runs, in GB."""
    webhooks_per_second: float = 547.0
    """Deliveries that one gateway process accepts (it shared 2 cores with its database and clients)."""
    deliveries_per_task: float = 10.0
    """Webhooks for each that starts a task: pushes, comments and ignored ones."""
    log_per_second: float = 8000.0
    """Events that the log takes, the slowest way (relay to Kafka by one core)."""
    events_per_task: float = 12.0
    launch_seconds: float = 0.05
    """Of the one daemon, for each run that it launches (warm: a fork and its records)."""
    commits_per_task: float = 120.0
    """Transactions of PostgreSQL for one task: Dagster's forty, the trajectory, leases and stages."""
    commits_per_second: float = 3000.0
    """Transactions that one PostgreSQL server takes: bare INSERTs with commits, 8 clients."""
    model_share: float = 0.0
    """Share of tasks that ask a chat model."""
    model_tokens: float = 40_000.0
    """Tokens of such a task."""
    model_tokens_per_second: float = 1000.0
    """Of one model server with one GPU, with requests in batches."""


ASSUMED = ("slot_cores", "slot_gb", "cores", "memory_gb", "deliveries_per_task", "events_per_task", "launch_seconds",
           "commits_per_task", "model_share", "model_tokens", "model_tokens_per_second")  # fmt: skip

MEASURED = {
    "run_seconds": "webhook to published result, p50, gvisor",
    "webhooks_per_second": "accepted webhooks, 8 clients",
    "log_per_second": "Relay from Postgres to Kafka",
}
"""Figures that `bench-results.json` has, by the name of their measurement."""


@dataclass(frozen=True)
class Resource:
    """`demand` and `supply` of one unit, a second. `needed` is how many units there must be; `most` how many there can
    be, None for any number."""

    name: str
    unit: str
    demand: float
    supply: float
    most: int | None = None

    @property
    def load(self) -> float:
        """Demand for what one unit may be asked for; above 1 one unit is too few."""
        return self.demand / (self.supply * UTILISATION)

    @property
    def needed(self) -> int:
        return max(1, math.ceil(self.load - 1e-9)) if self.demand else 0

    @property
    def fits(self) -> bool:
        return self.most is None or self.needed <= self.most


@dataclass(frozen=True)
class Capacity:
    """The answer for a load. `bottleneck` is the resource that cannot be multiplied far enough, if there is one, else
    that with the highest load of one unit."""

    tasks_per_hour: float
    slots: int
    machines: int
    resources: tuple[Resource, ...]

    @property
    def bottleneck(self) -> Resource:
        stuck = [one for one in self.resources if not one.fits]
        return max(stuck or self.resources, key=lambda one: one.load)

    @property
    def fits(self) -> bool:
        return all(one.fits for one in self.resources)

    @property
    def most_tasks_per_hour(self) -> float | None:
        """The load at which the first resource that there is a limited number of gives out; None without one."""
        limits = [self.tasks_per_hour * one.most / one.load for one in self.resources if one.most and one.load]
        return min(limits, default=None)


def capacity(tasks_per_hour: float, figures: Figures | None = None) -> Capacity:
    """Raises `BadFigures` for a load that is not a positive number."""
    if not (math.isfinite(tasks_per_hour) and 0 < tasks_per_hour <= 1e9):
        raise BadFigures(f"tasks per hour must be above 0 and at most a billion, not {tasks_per_hour}")
    f = figures or Figures()
    rate = tasks_per_hour / 3600
    per_machine = max(1, math.floor(min(f.cores / f.slot_cores, f.memory_gb / f.slot_gb)))
    resources = [
        Resource("runs", "machine", rate * f.run_seconds, float(per_machine)),
        Resource("gateway", "process", rate * f.deliveries_per_task, f.webhooks_per_second),
        Resource("event log", "relay", rate * f.events_per_task, f.log_per_second, most=1),
        Resource("Dagster daemon", "daemon", rate * f.launch_seconds, 1.0, most=1),
        Resource("PostgreSQL", "server", rate * f.commits_per_task, f.commits_per_second, most=1),
    ]
    if f.model_share:
        tokens = rate * f.model_share * f.model_tokens
        resources.append(Resource("model servers", "GPU", tokens, f.model_tokens_per_second))
    slots = math.ceil(rate * f.run_seconds / UTILISATION - 1e-9)
    return Capacity(tasks_per_hour, max(1, slots), resources[0].needed, tuple(resources))


def measured(path: Path) -> Figures:
    """The defaults, with the figures of a `bench-results.json`. Raises `BadFigures`."""
    try:
        if path.stat().st_size > 16 << 20:
            raise ValueError("it is too large")
        rows = json.loads(path.read_text(encoding="utf-8"))["results"]
        found = {str(row["name"]): float(row["value"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFigures(f"{path} cannot be read as results of `python -m tests.bench`: {error}") from error
    return changed(Figures(), {name: found[place] for name, place in MEASURED.items() if place in found})


def changed(figures: Figures, given: Mapping[str, float]) -> Figures:
    """Other figures, by name. Raises `BadFigures` for an unknown name or a number that is not above 0."""
    known = [one.name for one in fields(Figures)]
    for name, value in given.items():
        if name not in known:
            raise BadFigures(f"{name!r} is no figure; there are: {', '.join(known)}")
        low = 0 <= value <= 1 if name == "model_share" else value > 0
        if not (math.isfinite(value) and low):
            raise BadFigures(f"{name} must be {'0 to 1' if name == 'model_share' else 'above 0'}, not {value}")
    return replace(figures, **given)
