"""The asset `model_migration`: the open migration of embedding models, taken as far as it goes now."""

from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, ResourceParam, asset

from assets.migrations import record, report
from assets.migrations.drive import drive
from assets.migrations.record import MigrationRefused
from assets.platform import Platform


@asset(
    group_name="models",
    kinds={"postgres"},
    description="The migration from one embedding model to another: built, compared, cut over, observed, retired.",
)
def model_migration(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    with platform.database.system() as connection:
        migration = record.current(connection)
    if migration is None:
        return MaterializeResult(metadata={"state": MetadataValue.text("there was no migration yet")})
    waits_for = ""
    if migration.is_open:
        try:
            waits_for = drive(platform, migration.id, tell=context.log.info).waits_for
        except MigrationRefused as error:
            waits_for = str(error)  # somebody drives it by hand; the sensor asks again
    with platform.database.system() as connection:
        migration, events = report.read(connection, migration.id)
    comparison = migration.comparison or {}
    metadata: dict[str, MetadataValue[Any]] = {
        "migration": MetadataValue.int(migration.id),
        "from": MetadataValue.text(migration.old_name),
        "to": MetadataValue.text(migration.new_name),
        "state": MetadataValue.text(migration.state),
        "waits_for": MetadataValue.text(waits_for or "nothing"),
        "verdict": MetadataValue.text(comparison.get("verdict", "not compared yet")),
        "chunks_built": MetadataValue.int(int(migration.progress.get("chunks", 0))),
        "report": MetadataValue.md(report.as_markdown(migration, events)),
    }
    return MaterializeResult(metadata=metadata)
