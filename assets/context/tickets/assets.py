"""The asset `ticket_index`: the searchable tickets of a source."""

from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, ResourceParam, asset

from assets.context.tickets.index import TicketIndexReport, index_tickets
from assets.context.tickets.status import StatusChange
from assets.partitions import SOURCES, parse_partition
from assets.platform import Platform
from assets.shared.markdown import cell, code


@asset(
    partitions_def=SOURCES,
    group_name="context",
    kinds={"postgres"},
    description="The tickets of a source with their comments, searchable, as reported by events and imports.",
)
def ticket_index(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    team_id, source = parse_partition(context.partition_key)
    used = platform.models.in_use()
    report = index_tickets(platform.database, team_id, source, embedders=used.asked, building=used.building)
    for model, reason in report.unavailable:
        context.log.warning("tickets of %s have no vectors of %s yet: %s", source, model, reason)
    return MaterializeResult(metadata=ticket_metadata(report))


def ticket_metadata(report: TicketIndexReport) -> dict[str, MetadataValue[Any]]:
    status = report.status
    metadata: dict[str, MetadataValue[Any]] = {
        "tickets": MetadataValue.int(status.total),
        "tickets_by_state": MetadataValue.json(status.tickets),
        "texts": MetadataValue.int(status.parts),
        "changes_applied": MetadataValue.int(report.changes.applied),
        "changes_stale": MetadataValue.int(report.changes.stale),
        "changes_refused": MetadataValue.int(report.changes.refused),
        "texts_new": MetadataValue.int(report.parts),
        "texts_removed": MetadataValue.int(report.removed),
        "chunks_new": MetadataValue.int(report.chunks_new),
        "vectors_new": MetadataValue.int(report.embedded),
        "models": MetadataValue.text(", ".join(report.models) or "none"),
        "models_unavailable": MetadataValue.text("; ".join(f"{m}: {why}" for m, why in report.unavailable) or "none"),
        "last_changes": MetadataValue.md(_changes_table(status.last)),
        "seconds": MetadataValue.float(report.seconds),
    }
    if status.lag_median is not None and status.lag_most is not None:
        metadata["lag_seconds_median"] = MetadataValue.float(status.lag_median)
        metadata["lag_seconds_most"] = MetadataValue.float(status.lag_most)
    return metadata


def _changes_table(changes: tuple[StatusChange, ...]) -> str:
    rows = [
        f"| {code(change.key)} | {cell(change.before or '-')} | {cell(change.after)} | {cell(change.action)} "
        f"| {change.at:%Y-%m-%d %H:%M:%S} |"
        for change in changes
    ]
    return "\n".join(["| ticket | before | after | event | at |", "|---|---|---|---|---|", *rows]) if rows else "none"
