"""The asset `model_migration`: advances the open migration of embedding models as far as possible now."""

from datetime import UTC, datetime
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

from assets.migrations.gate import evidence
from assets.migrations.lifecycle import record
from assets.migrations.lifecycle.drive import drive, drive_stalled
from assets.migrations.lifecycle.record import MigrationRefused
from assets.migrations.report import report
from assets.platform import Platform
from core.statistics import Verdict


@asset(
    group_name="models",
    kinds={"postgres"},
    description="The migration from one embedding model to another: built, compared, cut over, observed, retired.",
    check_specs=[
        AssetCheckSpec(
            "migration_moves", asset="model_migration", description="It has not stalled, and no fault has paused it."
        ),
        AssetCheckSpec(
            "new_model_is_safe", asset="model_migration", description="The gate's verdict on the new model."
        ),
    ],
)
def model_migration(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult:  # type: ignore[type-arg]
    with platform.database.system() as connection:
        migration = record.current(connection)
    if migration is None:
        return MaterializeResult(
            metadata={"state": MetadataValue.text("there is no migration yet")},
            check_results=[
                AssetCheckResult(check_name="migration_moves", passed=True),
                AssetCheckResult(check_name="new_model_is_safe", passed=True),
            ],
        )
    waits_for = ""
    if migration.is_open:
        try:
            waits_for = drive(platform, migration.id, tell=context.log.info).waits_for
        except MigrationRefused as error:
            waits_for = str(error)  # another process is driving it; the sensor tries again
    found = evidence.update(platform, migration)
    with platform.database.system() as connection:
        migration, events = report.read(connection, migration.id)
    comparison = migration.comparison or {}
    worse = [one.set_name for one in found if one.verdict is Verdict.WORSE]
    metadata: dict[str, MetadataValue[Any]] = {
        "migration": MetadataValue.int(migration.id),
        "from": MetadataValue.text(migration.old_name),
        "to": MetadataValue.text(migration.new_name),
        "state": MetadataValue.text(migration.state),
        "waits_for": MetadataValue.text(waits_for or "nothing"),
        "decide": MetadataValue.text(evidence.first_sentence(migration, found)),
        "verdict": MetadataValue.text(comparison.get("verdict", "not compared yet")),
        "chunks_built": MetadataValue.int(int(migration.progress.get("chunks", 0))),
        "report": MetadataValue.md(report.as_markdown(migration, events)),
    }
    stalled = drive_stalled(migration, events, datetime.now(UTC))
    checks = [
        AssetCheckResult(
            check_name="migration_moves",
            passed=stalled is None,
            severity=AssetCheckSeverity.WARN,
            description=stalled or waits_for or None,
        ),
        AssetCheckResult(
            check_name="new_model_is_safe",
            passed=not worse and (not comparison or bool(comparison.get("safe"))),
            severity=AssetCheckSeverity.WARN,
            description=f"eval sets found it worse: {', '.join(worse)}"
            if worse
            else comparison.get("reason", "not compared yet"),
        ),
    ]
    return MaterializeResult(metadata=metadata, check_results=checks)
