"""Dagster assets that compare two runs. Their results are checked first, and damaged results are not compared.

The logic of a comparison is in `compare`.
"""

from collections.abc import Mapping
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    Config,
    Failure,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from core.statistics import Verdict

from .asset_checks import docs_metadata, docs_of, results_of, specs
from .bench import EvalBench
from .compare.comparison import compare_runs
from .report.formats import to_markdown
from .report.kept_reports import write_report
from .runs.result_checks import CHECKS, check_results
from .runs.results import RunRecord
from .runs.store import ResultStore, StoreError
from .sets.set_suites import result_docs


class Comparison(Config):
    """Two runs; a subject's name means its newest run."""

    baseline: str
    candidate: str


@asset(
    deps=["eval_results"],
    group_name="evals",
    kinds={"python"},
    check_specs=specs("eval_pair", CHECKS),
    description="Two runs to compare. Its checks block: damaged or incomplete results are not compared.",
)
def eval_pair(context: AssetExecutionContext, eval_bench: ResourceParam[EvalBench]) -> MaterializeResult:  # type: ignore[type-arg]
    configured: Any = context.run.run_config
    config = configured.get("ops", {}).get("eval_comparison", {}).get("config")
    if not isinstance(config, Mapping):
        raise Failure(
            "the two runs are named in the configuration of eval_comparison, which this run lacks: "
            "start the job compare_evals, which runs both assets"
        )
    store = eval_bench.store
    first, second = _pair(store, Comparison(**config))
    checked = [check_results(store, record, eval_bench.present_set(record)) for record in (first, second)]
    docs = tuple(docs_of(lambda one=one: result_docs(one.run, one, store.root)) for one in checked)  # type: ignore[misc]
    problems = {name: tuple(f"{one.run}: {said}" for one in checked for said in one.by_check[name]) for name in CHECKS}
    return MaterializeResult(
        metadata={
            "baseline": MetadataValue.text(first.run),
            "candidate": MetadataValue.text(second.run),
            **docs_metadata(docs[0], "data_docs_baseline"),
            **docs_metadata(docs[1], "data_docs_candidate"),
        },
        check_results=results_of(problems, docs),
    )


def _pair(store: ResultStore, config: Comparison) -> tuple[RunRecord, RunRecord]:
    try:
        return store.resolve(config.baseline), store.resolve(config.candidate)
    except StoreError as error:
        raise Failure(str(error), allow_retries=False) from error


@asset(
    deps=["eval_pair"],
    group_name="evals",
    kinds={"python"},
    check_specs=[
        AssetCheckSpec(
            name="candidate_may_replace_baseline",
            asset="eval_comparison",
            description="The verdict is `better` or `not worse`.",
        )
    ],
    description="A comparison of two runs of one set: a verdict for each metric and overall, and a report.",
)
def eval_comparison(
    context: AssetExecutionContext, config: Comparison, eval_bench: ResourceParam[EvalBench]
) -> MaterializeResult:  # type: ignore[type-arg]
    store = eval_bench.store
    pair = _pair(store, config)
    # `eval_pair` checks this too, but this asset can run alone.
    if problems := [said for one in pair for said in check_results(store, one).problems]:
        raise Failure("; ".join(problems), allow_retries=False)
    try:
        found = compare_runs(store, *pair)
    except (StoreError, ValueError) as error:
        raise Failure(str(error), allow_retries=False) from error
    folder = write_report(store, found)
    return MaterializeResult(
        metadata={
            "verdict": MetadataValue.text(found.verdict.value),
            "sentence": MetadataValue.text(found.sentence),
            "comparison": MetadataValue.md(to_markdown(found)),
            "report": MetadataValue.path(folder / "report.html"),
            "baseline": MetadataValue.text(pair[0].run),
            "candidate": MetadataValue.text(pair[1].run),
            "cases": MetadataValue.int(found.cases),
            "clusters": MetadataValue.int(found.clusters),
            "lost": MetadataValue.int(len(found.lost)),
            "gained": MetadataValue.int(len(found.gained)),
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
