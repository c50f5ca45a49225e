"""Evals in Dagster: results partitioned by set and subject, with checks on set and results, and a comparison.

Thin: what a run or a comparison is, `runner` and `compare` know. Which subjects there are is told by the
resource `eval_bench`, since a subject joins stages that do not know each other.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    Config,
    DynamicPartitionsDefinition,
    Failure,
    MaterializeResult,
    MetadataValue,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    ResourceParam,
    asset,
)
from pydantic import Field

from core.statistics import Verdict

from .compare import compare_runs
from .report import parts_of, to_markdown
from .results import RunRecord
from .runner import RunLimits, RunState, new_record, run_set
from .set_checks import check_set
from .sets import EvalSet, EvalSetError, load_set
from .store import ResultStore, StoreError, write_whole
from .subject import Subject, SubjectCannotStart
from .summary import RunSummary, summarise

SETS = DynamicPartitionsDefinition(name="eval_sets")
SUBJECTS = DynamicPartitionsDefinition(name="eval_subjects")
CASES = MultiPartitionsDefinition({"set": SETS, "subject": SUBJECTS})
TELL_SECONDS = 10.0


@dataclass(frozen=True)
class EvalBench:
    """What evals need from around them: where results lie, how sets and subjects are found, and the code's commit."""

    store: ResultStore
    find_set: Callable[[str], Path]
    open_subject: Callable[[str], Subject]
    code_commit: Callable[[], str]


class EvalRun(Config):
    """How a set is run. A run of the same name that was cut short goes on."""

    split: str = Field(default="all", description="A split of the set, or all.")
    repeats: int = Field(default=1, ge=1, le=1000)
    parallel: int = Field(default=1, ge=1, le=64, description="Cases at a time; times are only fair with 1.")
    seed: int = 0
    case_seconds: float = Field(default=600.0, gt=0)
    max_seconds: float = Field(default=86_400.0, gt=0)
    run: str = Field(default="", description="The run's name; without one, the Dagster run gives it.")


class Comparison(Config):
    """Two runs, or subjects whose newest runs are meant."""

    baseline: str
    candidate: str


CHECKS = {
    "set_is_sound": "The set is what its version sealed, without twins, leaks of a fix, or missing parts.",
    "results_are_whole": "Every case and repeat has one result, none twice, and none was lost to infrastructure.",
    "baseline_has_not_drifted": "The same subject is not worse than in its run before on this version of the set.",
}


@asset(
    partitions_def=CASES,
    group_name="evals",
    kinds={"python", "parquet"},
    check_specs=[AssetCheckSpec(name=name, asset="eval_results", description=said) for name, said in CHECKS.items()],
    description="A subject's results over an eval set, one row a case and repeat, with every input's version.",
)
def eval_results(
    context: AssetExecutionContext, config: EvalRun, eval_bench: ResourceParam[EvalBench]
) -> MaterializeResult:  # type: ignore[type-arg]
    found, subject = _opened(context, eval_bench)
    limits = RunLimits(case_seconds=config.case_seconds, total_seconds=config.max_seconds)
    # A run that Dagster retries has the same root, so it goes on where the first one stopped.
    root = context.run.root_run_id or context.run.run_id
    record = new_record(
        found, config.split, subject, run=config.run or f"{found.name}-{subject.name}-{root[:8]}",
        repeats=config.repeats, seed=config.seed, parallel=config.parallel, limits=limits,
        code_commit=eval_bench.code_commit(),
    )  # fmt: skip
    told = 0.0

    def tell(state: RunState) -> None:
        nonlocal told
        if time.monotonic() - told > TELL_SECONDS or state.done == state.total:
            told = time.monotonic()
            counts = f"{state.succeeded} succeeded, {state.failed} failed, {state.infrastructure} lost"
            context.log.info("%d of %d done: %s", state.done, state.total, counts)

    try:
        state = run_set(found, subject, eval_bench.store, record, limits=limits, tell=tell)
    except (StoreError, SubjectCannotStart) as error:
        raise Failure(str(error), allow_retries=False) from error
    record = eval_bench.store.record(record.run)
    summary = summarise(eval_bench.store, record)
    checks = [
        AssetCheckResult(check_name="set_is_sound", passed=True, description=f"{found.version}, {found.sha256}"),
        _whole(summary, state),
        _drift(eval_bench.store, record),
    ]
    return MaterializeResult(metadata=_metadata(summary, eval_bench.store), check_results=checks)


def _opened(context: AssetExecutionContext, bench: EvalBench) -> tuple[EvalSet, Subject]:
    """Set and subject of the partition. Fails before anything runs when the set is not sound."""
    key = context.partition_key
    if not isinstance(key, MultiPartitionKey):
        raise Failure(f"{key!r} is no partition of set and subject", allow_retries=False)
    parts = key.keys_by_dimension
    try:
        found = load_set(bench.find_set(parts["set"]))
        problems = check_set(found).problems
        if problems:
            raise EvalSetError("; ".join(problems))
        subject = bench.open_subject(parts["subject"])
    except ValueError as error:
        raise Failure(str(error), allow_retries=False) from error
    if found.manifest.kind not in subject.kinds:
        raise Failure(f"{subject.name} does not understand sets of kind {found.manifest.kind}", allow_retries=False)
    return found, subject


def _whole(summary: RunSummary, state: RunState) -> AssetCheckResult:
    expected = summary.record.cases * summary.record.repeats
    said = f"{summary.results} of {expected} results, {summary.infrastructure} lost to infrastructure"
    return AssetCheckResult(
        check_name="results_are_whole",
        passed=summary.complete and summary.results == expected,
        severity=AssetCheckSeverity.ERROR,
        description=f"{said}; {state.stopped}" if state.stopped else said,
        metadata={"flaky": MetadataValue.text(", ".join(summary.flaky) or "none")},
    )


def _drift(store: ResultStore, record: RunRecord) -> AssetCheckResult:
    """Compares with the newest earlier run that differs in nothing but code and luck."""
    same = ("set_sha256", "split", "subject", "identity_digest", "repeats", "seed")
    before = [
        one for one in store.runs()
        if one.started < record.started and all(getattr(one, name) == getattr(record, name) for name in same)
    ]  # fmt: skip
    if not before:
        return AssetCheckResult(
            check_name="baseline_has_not_drifted", passed=True, description="There is no earlier run."
        )
    found = compare_runs(store, before[-1], record)
    return AssetCheckResult(
        check_name="baseline_has_not_drifted",
        passed=found.verdict is not Verdict.WORSE,
        severity=AssetCheckSeverity.WARN,
        description=found.sentence,
        metadata={"comparison": MetadataValue.md(to_markdown(found)), "before": MetadataValue.text(before[-1].run)},
    )


def _metadata(summary: RunSummary, store: ResultStore) -> dict[str, Any]:
    record, interval = summary.record, summary.interval
    found: dict[str, Any] = {
        "run": MetadataValue.text(record.run),
        "set_version": MetadataValue.text(f"{record.set_version} {record.set_sha256[:12]}"),
        "cases": MetadataValue.int(summary.cases),
        "results": MetadataValue.int(summary.results),
        "infrastructure": MetadataValue.int(summary.infrastructure),
        "flaky": MetadataValue.int(len(summary.flaky)),
        "outcomes": MetadataValue.json(summary.outcomes),
        "identity": MetadataValue.json(record.identity),
        "code_commit": MetadataValue.text(record.code_commit),
        "parquet": MetadataValue.path(store.parquet(record)),
        **{f"mean_{name}": MetadataValue.float(value) for name, value in summary.means.items()},
    }
    if summary.success is not None and interval is not None:
        found["success"] = MetadataValue.float(summary.success)
        found["success_low"] = MetadataValue.float(interval.low)
        found["success_high"] = MetadataValue.float(interval.high)
    return found


@asset(
    group_name="evals",
    kinds={"python"},
    check_specs=[
        AssetCheckSpec(
            name="candidate_may_replace_baseline",
            asset="eval_comparison",
            description="The verdict is `better` or `not worse`; neither `worse` nor `inconclusive` is enough.",
        )
    ],
    description="Two runs of one set compared: a verdict for each metric and overall, with a report.",
)
def eval_comparison(
    context: AssetExecutionContext, config: Comparison, eval_bench: ResourceParam[EvalBench]
) -> MaterializeResult:  # type: ignore[type-arg]
    store = eval_bench.store
    try:
        found = compare_runs(store, store.resolve(config.baseline), store.resolve(config.candidate))
    except (StoreError, ValueError) as error:
        raise Failure(str(error), allow_retries=False) from error
    first, second = found.baseline.record, found.candidate.record
    folder = store.root / "reports" / f"{first.run}..{second.run}"
    for name, content in parts_of(found, store).items():
        write_whole(folder / name, content.encode())
    return MaterializeResult(
        metadata={
            "verdict": MetadataValue.text(found.verdict.value),
            "comparison": MetadataValue.md(to_markdown(found)),
            "report": MetadataValue.path(folder / "report.html"),
            "baseline": MetadataValue.text(first.run),
            "candidate": MetadataValue.text(second.run),
        },
        check_results=[
            AssetCheckResult(
                check_name="candidate_may_replace_baseline",
                passed=found.verdict in (Verdict.BETTER, Verdict.NOT_WORSE),
                severity=AssetCheckSeverity.WARN,
                description=found.sentence,
            )
        ],
    )
