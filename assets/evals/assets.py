"""Evals as Dagster assets: a checked set, and a subject's results over it, partitioned by set and subject.

The logic is elsewhere: `runner` runs a subject, `set_checks` and `result_checks` find problems. Comparisons are in
`comparison_assets`.
"""

import time
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetObservation,
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

from assets.shared.markdown import cell

from .asset_checks import docs_metadata, docs_of, results_of, specs, with_losses
from .bench import EvalBench
from .compare.drift import Drift, find_drift, note_status
from .report.formats import to_markdown
from .report.summary import RunSummary, summarise
from .runs import result_checks
from .runs.result_checks import check_results
from .runs.runner import RunLimits, RunState, new_record, run_set
from .runs.store import ResultStore, StoreError
from .runs.subject import Subject, SubjectCannotStart
from .sets import set_checks
from .sets.eval_set import EvalSet, load_set
from .sets.set_checks import check_set
from .sets.set_suites import result_docs, set_docs

SETS = DynamicPartitionsDefinition(name="eval_sets")
SUBJECTS = DynamicPartitionsDefinition(name="eval_subjects")
CASES = MultiPartitionsDefinition({"set": SETS, "subject": SUBJECTS})
REPORT_SECONDS = 10.0


class EvalRun(Config):
    """How a set is run. An unfinished run of the same name is resumed."""

    split: str = Field(default="all", description="A split of the set, or all.")
    repeats: int = Field(default=1, ge=1, le=1000)
    parallel: int = Field(
        default=1, ge=1, le=64, description="Cases that run simultaneously; times are only comparable with 1."
    )
    seed: int = 0
    case_seconds: float = Field(default=600.0, gt=0)
    max_seconds: float = Field(default=86_400.0, gt=0)
    max_tokens: float | None = Field(default=None, gt=0, description="Of the whole run, which can be resumed.")
    max_cost: float | None = Field(default=None, gt=0, description="Of the whole run, in the models' currency.")
    run: str = Field(default="", description="The run's name; by default from set, subject and Dagster run.")


DRIFT = "baseline_has_not_drifted"


@asset(
    partitions_def=CASES,
    group_name="evals",
    kinds={"python"},
    check_specs=specs("eval_cases", set_checks.CHECKS),
    description="The set that a subject is about to solve. Its checks block: a set that fails one is not run.",
)
def eval_cases(context: AssetExecutionContext, eval_bench: ResourceParam[EvalBench]) -> MaterializeResult:  # type: ignore[type-arg]
    found, subject = _opened(context, eval_bench)
    checked = check_set(found)
    docs = docs_of(lambda: set_docs(found, checked, eval_bench.store.root))
    splits = {split: sum(case.split == split for case in found.cases) for split in found.manifest.splits}
    return MaterializeResult(
        metadata={
            "set": MetadataValue.text(f"{found.name} {found.version}"),
            "sha256": MetadataValue.text(found.sha256),
            "cases": MetadataValue.int(len(found.cases)),
            "clusters": MetadataValue.int(found.clusters),
            "splits": MetadataValue.json(splits),
            "licence": MetadataValue.text(found.manifest.licence),
            "subject": MetadataValue.text(subject.name),
            "remarks": MetadataValue.md("\n".join(f"- {cell(said)}" for said in checked.remarks) or "none"),
            **docs_metadata(docs),
        },
        check_results=results_of(checked.by_check, (docs,)),
    )


@asset(
    deps=["eval_cases"],
    partitions_def=CASES,
    group_name="evals",
    kinds={"python", "parquet"},
    check_specs=[
        *specs("eval_results", result_checks.CHECKS),
        AssetCheckSpec(
            name=DRIFT,
            asset="eval_results",
            description="The subject is not worse than in its previous run on this version of the set.",
        ),
    ],
    description="A subject's results over an eval set: one row per case and repeat, with the version of every input.",
)
def eval_results(
    context: AssetExecutionContext, config: EvalRun, eval_bench: ResourceParam[EvalBench]
) -> MaterializeResult:  # type: ignore[type-arg]
    found, subject = _opened(context, eval_bench)
    if problems := check_set(found).problems:  # `eval_cases` checks this too, but this asset can run alone
        raise Failure("; ".join(problems), allow_retries=False)
    limits = RunLimits(
        case_seconds=config.case_seconds,
        total_seconds=config.max_seconds,
        total_tokens=config.max_tokens,
        total_cost=config.max_cost,
    )
    # A retry by Dagster has the same root run, so it resumes where the first one stopped.
    root = context.run.root_run_id or context.run.run_id
    record = new_record(
        found, config.split, subject, run=config.run or f"{found.name}-{subject.name}-{root[:8]}",
        repeats=config.repeats, seed=config.seed, parallel=config.parallel, limits=limits,
        code_commit=eval_bench.code_commit(),
    )  # fmt: skip
    reported, counts = 0.0, ""

    def report(state: RunState) -> None:
        nonlocal reported, counts
        if time.monotonic() - reported > REPORT_SECONDS or (state.done == state.total and counts != _counts(state)):
            reported, counts = time.monotonic(), _counts(state)
            context.log.info("%s", counts)
            # Shows live counts at the asset, until its materialisation replaces them.
            context.log_event(
                AssetObservation(
                    asset_key="eval_results",
                    partition=context.partition_key,
                    description=counts,
                    metadata=_live(record.run, state),
                )
            )

    try:
        state = run_set(found, subject, eval_bench.store, record, limits=limits, tell=report)
    except (StoreError, SubjectCannotStart) as error:
        raise Failure(str(error), allow_retries=False) from error
    record = eval_bench.store.record(record.run)
    summary = summarise(eval_bench.store, record)
    checked = check_results(eval_bench.store, record, found)
    docs = docs_of(lambda: result_docs(record.run, checked, eval_bench.store.root))
    drift = find_drift(eval_bench.store, record)
    note_status(eval_bench.store, record, drift)
    return MaterializeResult(
        metadata={**_metadata(summary, eval_bench.store), **docs_metadata(docs)},
        check_results=[*_with_losses(results_of(checked.by_check, (docs,)), summary, state), _drift(drift)],
    )


def _counts(state: RunState) -> str:
    counts = f"{state.succeeded} succeeded, {state.failed} failed, {state.infrastructure} lost"
    counts += f", {state.not_runnable} not runnable here" if state.not_runnable else ""
    return f"{state.done} of {state.total} done: {counts}"


def _live(run: str, state: RunState) -> dict[str, Any]:
    return {
        "run": MetadataValue.text(run),
        "progress": MetadataValue.text(_counts(state)),
        "done": MetadataValue.int(state.done),
        "of": MetadataValue.int(state.total),
        "succeeded": MetadataValue.int(state.succeeded),
        "failed": MetadataValue.int(state.failed),
        "infrastructure": MetadataValue.int(state.infrastructure),
    }


def _opened(context: AssetExecutionContext, bench: EvalBench) -> tuple[EvalSet, Subject]:
    """The partition's set and subject. Raises `Failure` if one cannot be opened, or they do not fit."""
    key = context.partition_key
    if not isinstance(key, MultiPartitionKey):
        raise Failure(f"{key!r} is not a partition by set and subject", allow_retries=False)
    parts = key.keys_by_dimension
    try:
        found = load_set(bench.find_set(parts["set"]))
        subject = bench.open_subject(parts["subject"])
    except ValueError as error:
        raise Failure(str(error), allow_retries=False) from error
    if found.manifest.kind not in subject.kinds:
        raise Failure(f"{subject.name} cannot solve sets of kind {found.manifest.kind!r}", allow_retries=False)
    return found, subject


def _with_losses(results: list[AssetCheckResult], summary: RunSummary, state: RunState) -> list[AssetCheckResult]:
    expected = summary.record.cases * summary.record.repeats
    said = f"{summary.results} of {expected} results, {summary.infrastructure} lost to infrastructure"
    said = f"{said}; {state.stopped}" if state.stopped else said
    return [
        with_losses(one, summary.complete, said, ", ".join(summary.flaky) or "none")
        if one.check_name == "results_are_whole"
        else one
        for one in results
    ]


def _drift(found: Drift) -> AssetCheckResult:
    metadata: dict[str, Any] = {}
    if found.before and found.comparison:
        metadata["comparison"] = MetadataValue.md(to_markdown(found.comparison))
        metadata["before"] = MetadataValue.text(found.before.run)
    return AssetCheckResult(
        check_name=DRIFT,
        passed=not found.drifted,
        severity=AssetCheckSeverity.ERROR,
        description=found.sentence,
        metadata=metadata,
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
