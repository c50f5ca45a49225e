"""Results of regression evals about a migration's two models, as plain records.

The stages do not import each other, so the caller who builds the platform passes these in (`Platform.model_evals`).
They are stored in the migration's timeline, from which reports read them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import BaseModel, ConfigDict, Field

from assets.migrations.lifecycle import record
from assets.migrations.lifecycle.record import Migration, TimelineEvent
from assets.platform import Platform
from core.states import MigrationState
from core.statistics import Verdict

KIND = "evals"
_MOST_SETS = 20
_ORDER = (Verdict.WORSE, Verdict.INCONCLUSIVE)


class EvalMetric(BaseModel):
    """One metric: both models' means, the difference or ratio with its interval, and the verdict."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(max_length=100)
    role: str = Field(default="info", max_length=20)
    old: float | None = None
    new: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    neutral: float = 0.0
    """The value of `difference` that means no difference: 0, or 1 for a ratio."""
    verdict: str = Field(max_length=40)


class EvalEvidence(BaseModel):
    """One eval set's comparison of the new model with the old one. The evals wrote `sentence`."""

    model_config = ConfigDict(frozen=True)

    set_name: str = Field(max_length=100)
    set_version: str = Field(max_length=100)
    retrieval: bool
    """Whether the set judges retrieval alone; such sets count in the gate, others are only shown."""
    cases: int
    verdict: Verdict
    sentence: str = Field(max_length=2000)
    reason: str = Field(default="", max_length=2000)
    old_run: str = Field(max_length=200)
    new_run: str = Field(max_length=200)
    metrics: tuple[EvalMetric, ...] = Field(default=(), max_length=50)
    strata: tuple[Mapping[str, Any], ...] = Field(default=(), max_length=100)
    lost: tuple[str, ...] = Field(default=(), max_length=50)
    gained: tuple[str, ...] = Field(default=(), max_length=50)


def update(platform: Platform, migration: Migration) -> list[EvalEvidence]:
    """Reads the current results of evals, and stores them in the timeline when they are new. Idempotent.

    For a closed migration it returns the stored ones.
    """
    if platform.model_evals is None or not migration.is_open:
        with platform.database.system() as connection:
            return latest(record.timeline(connection, migration.id))
    with platform.database.system() as connection:
        identities = connection.execute(
            "SELECT o.identity, n.identity FROM embedding_models o, embedding_models n WHERE o.id = %s AND n.id = %s",
            (migration.old_model, migration.new_model),
        ).fetchone()
    if identities is None:
        return []
    found = [EvalEvidence.model_validate(one) for one in platform.model_evals(*identities)[:_MOST_SETS]]
    with platform.database.system() as connection:
        record.get(connection, migration.id, lock=True)
        if found != latest(record.timeline(connection, migration.id)):
            store(connection, migration.id, found)
    return found


def store(connection: Connection[TupleRow], number: int, found: Sequence[EvalEvidence]) -> None:
    """Adds evidence to the timeline; the last one stored counts."""
    record.note(connection, number, KIND, {"sets": [one.model_dump(mode="json") for one in found]})


def latest(events: Sequence[TimelineEvent]) -> list[EvalEvidence]:
    """The evidence stored last."""
    noted = [event for event in events if event.kind == KIND]
    return [EvalEvidence.model_validate(one) for one in noted[-1].body["sets"]] if noted else []


def combine(verdict: Verdict, reason: str, found: Sequence[EvalEvidence]) -> tuple[Verdict, str]:
    """The gate's verdict and reason from the queries and each retrieval set: all must be shown to be no worse.

    An intersection-union test, as `core.statistics.conclude` is over metrics: a part that is inconclusive stays so
    whatever the others show.
    """
    parts = [("queries", verdict, reason)]
    parts += [(f"eval set {one.set_name}", one.verdict, one.reason or one.sentence) for one in found if one.retrieval]
    if len(parts) == 1:
        return verdict, reason
    for stops in _ORDER:
        if named := [(name, why) for name, one, why in parts if one is stops]:
            return stops, "; ".join(f"{name}: {why}" for name, why in named)
    better = [(name, why) for name, one, why in parts if one is Verdict.BETTER]
    if better:
        return Verdict.BETTER, "; ".join(f"{name}: {why}" for name, why in better)
    return Verdict.NOT_WORSE, f"queries: {reason}; eval sets agree"


def first_sentence(migration: Migration, found: Sequence[EvalEvidence]) -> str:
    """The report's first sentence: whether to cut over (yes, no, not yet), or how a closed migration ended."""
    comparison = migration.comparison
    change = f"from {migration.old_name} to {migration.new_name}"
    if migration.state == MigrationState.DONE:
        return f"Done: {migration.new_name} has taken over from {migration.old_name}."
    if migration.state == MigrationState.ROLLED_BACK:
        return f"Rolled back: {migration.old_name} answers again, not {migration.new_name}."
    if migration.state == MigrationState.CANCELLED:
        return f"Cancelled: {migration.old_name} has answered throughout."
    if comparison is None:
        return f"Nothing can be said yet of the change {change}: the models have not been compared."
    on_queries = Verdict(comparison.get("queries_verdict", comparison["verdict"]))
    parts = [
        ("the comparison on queries", on_queries),
        *((f"the eval set {one.set_name}", one.verdict) for one in found),
    ]
    worse = [name for name, verdict in parts if verdict is Verdict.WORSE]
    open_ = [name for name, verdict in parts if verdict is Verdict.INCONCLUSIVE]
    if worse:
        return f"No: {_listed(worse)} found {migration.new_name} worse than {migration.old_name}."
    if open_:
        others = ", and nothing found it worse" if len(parts) > len(open_) else ""
        return f"Not yet: {_listed(open_)} could not decide on the change {change}{others}."
    better = [name for name, verdict in parts if verdict is Verdict.BETTER]
    how = (
        f"{_listed(better)} found it better" if better else f"{_listed([name for name, _ in parts])} found it no worse"
    )
    beside = ", and nothing found it worse" if better and len(better) < len(parts) else ""
    can = f"{migration.new_name} can take over from {migration.old_name}"
    if comparison.get("slower") is not None:
        times = f"searches would take {comparison['slower']:g} times as long"
        return f"Yes, if that is worth it: {can}, but {times}; {how}{beside}."
    return f"Yes: {can}; {how}{beside}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
