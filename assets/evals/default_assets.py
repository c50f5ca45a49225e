"""The platform's defaults as a Dagster asset, with who changed them and with which verdict, and an op to roll back.

`promotion` decides what may be promoted. A rollback is an op rather than an asset, since it needs no comparison.
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
    """The two runs to compare; a subject's name means its newest run."""

    baseline: str = Field(description="A run of the present default, or a subject.")
    candidate: str = Field(description="A run of what may become the default, or a subject.")


class Rollback(Config):
    """The promotion to roll back."""

    version: int | None = Field(default=None, ge=1, description="Its version; by default the one in force.")


@asset(
    deps=["eval_comparison"],
    group_name="evals",
    kinds={"python"},
    description="The settings that new tasks run with. They change only to a candidate found better or not worse.",
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
    context.log.info("%s: %s", "promoted" if done.fresh else "already promoted", done.change.reason)
    return MaterializeResult(metadata=_metadata(done))


@op(description="Rolls back the promotion in force, as `penstock eval rollback` does.")
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
        "what": MetadataValue.text(change.kind if done.fresh else f"{change.kind}, already made"),
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
