"""How fresh the context index is, how far the open migration of embedding models has come, and how the newest eval runs
ended."""

from collections import Counter
from collections.abc import Iterator

from core.health.eval_status import read_status
from core.health.freshness import SourceFreshness, read_freshness
from core.health.measures.families import Family, Group, Sample, Source
from core.health.migration_health import read_health

MOST_SOURCES = 200
"""Sources that have series of their own: those in the worst state."""
STATES = ("failing", "not indexed", "behind", "unchecked", "fresh")
_PROGRESS = """
SELECT id, state, (progress ->> 'chunks')::float8, (progress ->> 'total')::float8,
       (comparison ->> 'safe')::boolean
FROM model_migrations WHERE state NOT IN ('done', 'cancelled', 'rolled-back')
"""


def _worst_first(one: SourceFreshness) -> tuple[int, float, float]:
    return STATES.index(one.state), -one.waiting_seconds, -(one.look_seconds or 0.0)


def _index(source: Source) -> Iterator[Sample]:
    assert source.connection is not None  # noqa: S101
    found = sorted(read_freshness(source.connection), key=_worst_first)
    states = Counter(one.state for one in found)
    for state in STATES:
        yield Sample("penstock_index_sources", (state,), states[state])
    looks = [one.look_seconds for one in found if one.look_seconds is not None]
    yield Sample("penstock_index_oldest_look_age_seconds", (), max(looks, default=0.0))
    for one in found[:MOST_SOURCES]:
        labels = (str(one.team_id), one.source)
        if one.lag_seconds is not None:
            yield Sample("penstock_index_lag_seconds", labels, one.lag_seconds)
        yield Sample("penstock_index_waiting_changes", labels, one.waiting)
        yield Sample("penstock_index_waiting_seconds", labels, one.waiting_seconds)
        yield Sample("penstock_index_failed_refreshes", labels, one.failures)
        if one.look_seconds is not None:
            yield Sample("penstock_index_look_age_seconds", labels, one.look_seconds)
        for model in one.models:
            if model.lag_seconds is not None:
                yield Sample("penstock_index_model_lag_seconds", (*labels, model.model), model.lag_seconds)
            yield Sample("penstock_index_model_behind_seconds", (*labels, model.model), model.behind_seconds)


def _migration(source: Source) -> Iterator[Sample]:
    assert source.connection is not None  # noqa: S101
    found = read_health(source.connection)
    if found is not None:
        labels = (str(found.number), found.state)
        yield Sample("penstock_migration_quiet_seconds", labels, 0.0 if found.waits_for else found.quiet_seconds)
        yield Sample("penstock_migration_stalled", labels, found.stalled is not None)
    for number, state, chunks, total, safe in source.rows(_PROGRESS):
        if total:
            yield Sample("penstock_migration_progress_ratio", (str(number), state), min(1.0, (chunks or 0.0) / total))
        if safe is not None:
            yield Sample("penstock_migration_safe", (str(number), state), safe)


def _evals(source: Source) -> Iterator[Sample]:
    for one in read_status(source.settings.home / "evals"):
        labels = (one.set_name, one.subject)
        yield Sample("penstock_eval_drifted", labels, bool(one.drifted))
        yield Sample("penstock_eval_started_timestamp_seconds", labels, one.at.timestamp())
        if one.success is not None:
            yield Sample("penstock_eval_success", labels, one.success)
        yield Sample("penstock_eval_verdict", (*labels, one.verdict or "none"), 1.0)


def _of_source(name: str, meaning: str, *more: str) -> Family:
    return Family(name, f"{meaning} By source.", ("team", "source", *more))


INDEX = Group(
    "index",
    (
        Family("penstock_index_sources", "Sources by the state of their index.", ("state",)),
        Family(
            "penstock_index_oldest_look_age_seconds",
            "Longest time since the head of a source's branch was compared with its index, of all sources.",
        ),
        _of_source(
            "penstock_index_lag_seconds", "Time from accepting the last announced change until it was searchable."
        ),
        _of_source("penstock_index_waiting_changes", "Announced changes not indexed yet."),
        _of_source("penstock_index_waiting_seconds", "Age of the oldest announced change that is not indexed yet."),
        _of_source("penstock_index_failed_refreshes", "Failed refreshes of a source since its last successful one."),
        _of_source(
            "penstock_index_look_age_seconds", "Time since the head of a source's branch was compared with its index."
        ),
        _of_source(
            "penstock_index_model_lag_seconds",
            "Time from accepting the last announced change that a model covers until the model covered it.",
            "model",
        ),
        _of_source(
            "penstock_index_model_behind_seconds", "Time since a model last covered the visible version.", "model"
        ),
    ),
    _index,
)
MIGRATION = Group(
    "migration",
    (
        Family(
            "penstock_migration_quiet_seconds",
            "Time for which the open migration of embedding models has made no progress; 0 while it need not.",
            ("migration", "state"),
        ),
        Family(
            "penstock_migration_stalled",
            "1 if the open migration of embedding models has made no progress for too long.",
            ("migration", "state"),
        ),
        Family(
            "penstock_migration_progress_ratio",
            "Share of the chunks that the open migration's backfill has embedded.",
            ("migration", "state"),
        ),
        Family(
            "penstock_migration_safe",
            "Verdict of the open migration's gate: 1 if the cut over is safe, else 0; absent before it.",
            ("migration", "state"),
        ),
    ),
    _migration,
)
EVALS = Group(
    "evals",
    (
        Family(
            "penstock_eval_drifted",
            "1 if the newest run is worse than the previous run of the same subject. By eval set and subject.",
            ("set", "subject"),
        ),
        Family(
            "penstock_eval_success",
            "Success of the newest run, from 0 to 1. By eval set and subject.",
            ("set", "subject"),
        ),
        Family(
            "penstock_eval_started_timestamp_seconds",
            "Start of the newest run, in seconds since 1970. By eval set and subject.",
            ("set", "subject"),
        ),
        Family(
            "penstock_eval_verdict",
            "1 with the verdict of the newest run beside the previous one of the same subject; none without one.",
            ("set", "subject", "verdict"),
        ),
    ),
    _evals,
    needs_database=False,
)
