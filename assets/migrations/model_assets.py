"""The asset `embedding_models`: nightly maintenance of the models in use, and their retirement deadlines."""

from collections.abc import Sequence
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.context.models import set_aside
from assets.migrations.lifecycle.upkeep import Kept, keep_models
from assets.migrations.retirement.deadlines import Deadline, Urgency
from assets.platform import Platform
from assets.shared.markdown import cell
from core.embedding import catalogue, migration_requests
from core.states import ModelState


@asset(
    group_name="models",
    kinds={"postgres"},
    description="The embedding models in use: fills gaps in their coverage, and retires those that nothing needs.",
    check_specs=[
        AssetCheckSpec(
            "serving_models_cover_everything",
            asset="embedding_models",
            description="No model in use was skipped, for instance because its server was away.",
        ),
        AssetCheckSpec(
            "models_can_go_on_their_day",
            asset="embedding_models",
            description="No model whose deadline is near is still needed.",
        ),
    ],
)
def embedding_models(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult:  # type: ignore[type-arg]
    done = keep_models(platform, tell=context.log.info)
    for name, why in done.left:
        context.log.warning("%s: skipped until the next run: %s", name, why)
    near = [one for one in done.deadlines if one.urgency != Urgency.NONE]
    for one in near:
        log = context.log.warning if one.urgency == Urgency.SOON else context.log.error
        log("%s", one.text)
    return MaterializeResult(metadata=_metadata(platform, done), check_results=[_covered(done), _days(near)])


def _covered(done: Kept) -> AssetCheckResult:
    return AssetCheckResult(
        check_name="serving_models_cover_everything",
        passed=not done.left,
        severity=AssetCheckSeverity.WARN,
        description="; ".join(f"{name}: {why}" for name, why in done.left)[:2000] or None,
    )


def _days(near: Sequence[Deadline]) -> AssetCheckResult:
    soon = all(one.urgency == Urgency.SOON for one in near)
    return AssetCheckResult(
        check_name="models_can_go_on_their_day",
        passed=not near,
        severity=AssetCheckSeverity.WARN if soon else AssetCheckSeverity.ERROR,
        description="; ".join(one.text for one in near)[:2000] or None,
    )


def _metadata(platform: Platform, done: Kept) -> dict[str, MetadataValue[Any]]:
    with platform.database.system() as connection:
        found = [entry for entry in catalogue.entries(connection) if entry.state != ModelState.RETIRED]
        covered = {entry.id: catalogue.coverage(connection, entry.id) for entry in found}
        aside = {entry.id: set_aside.read(connection, entry.id) for entry in found}
        queued = migration_requests.waiting(connection)
    rows = ["| model | state | chunks covered | of | without a vector | retire by |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {cell(entry.name)} | {entry.state} | {sum(c.covered for c in covered[entry.id]) - aside[entry.id].count} "
        f"| {sum(c.chunks for c in covered[entry.id])} | {cell(str(aside[entry.id]))} "
        f"| {f'{entry.retire_by:%Y-%m-%d}' if entry.retire_by else ''} |"
        for entry in found
    ]
    waiting = "\n".join(f"- {cell(request.model)}: {cell(request.reason or 'not tried yet')}" for request in queued)
    return {
        "models": MetadataValue.md("\n".join(rows)),
        "embedded_chunks": MetadataValue.int(sum(chunks for _, chunks in done.embedded)),
        "retired": MetadataValue.text(", ".join(done.retired) or "none"),
        "waiting_for_a_migration": MetadataValue.md(waiting or "none"),
    }
