"""The platform's defaults as a Dagster asset: who changed them, when, with which verdict, and the way back.

Thin: what may be promoted, `promotion` decides. A rollback is an op, since it needs no comparison.
"""

from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    Config,
    Failure,
    MaterializeResult,
    MetadataValue,
    OpExecutionContext,
    ResourceParam,
    asset,
    op,
)
from pydantic import Field

from assets.shared.markdown import cell
from core.defaults import DefaultsError
from core.settings import load_settings

from .bench import EvalBench
from .promote.promotion import Promoted, PromotionRefused, promote, roll_back
from .runs.store import StoreError


class Promotion(Config):
    """The comparison that is to be acted on."""

    baseline: str = Field(description="The run, or the subject whose newest run, that is the present default.")
    candidate: str = Field(description="The run or subject that may become the default.")


class Rollback(Config):
    """Which promotion is to be taken back."""

    version: int | None = Field(default=None, ge=1, description="Its version; the one in force if not given.")


@asset(
    deps=["eval_comparison"],
    group_name="evals",
    kinds={"python"},
    description="What new tasks run with. It changes only to what was found better or not worse than it.",
)
def platform_default(
    context: AssetExecutionContext, config: Promotion, eval_bench: ResourceParam[EvalBench]
) -> MaterializeResult:  # type: ignore[type-arg]
    store = eval_bench.store
    try:
        done = promote(
            load_settings().home,
            store,
            store.resolve(config.baseline),
            store.resolve(config.candidate),
            by=f"{eval_bench.who()}, Dagster run {context.run.run_id}",
            still_there=eval_bench.gone_since,
        )
    except (PromotionRefused, StoreError, DefaultsError) as error:
        raise Failure(str(error), allow_retries=False) from error
    context.log.info("%s: %s", "promoted" if done.fresh else "promoted already", done.change.reason)
    return MaterializeResult(metadata=_metadata(done))


@op(description="Takes the promotion in force back, as `penstock eval rollback` does.")
def take_promotion_back(context: OpExecutionContext, config: Rollback, eval_bench: ResourceParam[EvalBench]) -> None:
    try:
        by = f"{eval_bench.who()}, Dagster run {context.run_id}"
        done = roll_back(load_settings().home, by=by, version=config.version)
    except (PromotionRefused, DefaultsError) as error:
        raise Failure(str(error), allow_retries=False) from error
    context.log_event(AssetMaterialization("platform_default", metadata=_metadata(done)))


def _metadata(done: Promoted) -> dict[str, MetadataValue[Any]]:
    change = done.change
    rows = [
        f"| {name} | {cell(change.before.get(name, 'own default'))} | {cell(change.after.get(name, 'own default'))} |"
        for name in sorted({*change.before, *change.after})
    ]
    found: dict[str, MetadataValue[Any]] = {
        "version": MetadataValue.int(done.defaults.version),
        "what": MetadataValue.text(change.kind if done.fresh else f"{change.kind}, made before"),
        "changed": MetadataValue.md("\n".join(["| setting | before | now |", "|---|---|---|", *rows])),
        "values": MetadataValue.json(done.defaults.values),
        "reason": MetadataValue.md(cell(change.reason)),
        "by": MetadataValue.text(change.by),
        "remarks": MetadataValue.md("\n".join(f"- {cell(said)}" for said in done.remarks) or "none"),
    }
    if change.report:
        found["verdict"] = MetadataValue.text(change.verdict)
        found["report"] = MetadataValue.path(change.report)
    return found
