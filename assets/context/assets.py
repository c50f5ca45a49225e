"""The assets `context_index` (a source's index) and `task_context` (what a task is about)."""

import time
from typing import Any

from dagster import AssetExecutionContext, AssetKey, MaterializeResult, MetadataValue, ResourceParam, asset

from assets.attempt_run import open_attempt
from assets.context import search
from assets.context.refresh import RefreshReport, refresh
from assets.markdown import cell, fenced, locations_table
from assets.partitions import SOURCES, parse_partition
from assets.platform import Platform
from core.tasks import Task
from core.work import TaskContext


@asset(
    partitions_def=SOURCES,
    group_name="context",
    kinds={"git", "postgres"},
    description="The searchable index of a source at its newest commit.",
)
def context_index(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    team_id, source = parse_partition(context.partition_key)
    used = platform.models.in_use()
    report = refresh(
        platform.database,
        team_id,
        source,
        mirrors=platform.mirrors,
        roots=platform.settings.roots,
        secrets=platform.settings.secrets_folder,
        embedders=used.asked,
        building=used.building,
        on_step=lambda step: context.log.debug("refresh of %s: %s", source, step),
    )
    return MaterializeResult(metadata=_refresh_metadata(report))


def _refresh_metadata(report: RefreshReport) -> dict[str, MetadataValue[Any]]:
    skipped = "\n".join(f"- `{cell(path)}`: {cell(reason)}" for path, reason in report.skipped[:100])
    return {
        "commit": MetadataValue.text(report.commit),
        "branch": MetadataValue.text(report.branch),
        "index_version": MetadataValue.text(report.index_version),
        "changed": MetadataValue.bool(report.changed),
        "files": MetadataValue.int(report.files),
        "chunks": MetadataValue.int(report.chunks),
        "chunks_new": MetadataValue.int(report.chunks_new),
        "chunks_reused": MetadataValue.int(report.chunks_reused),
        "files_skipped": MetadataValue.int(report.skipped_count),
        "skipped": MetadataValue.md(skipped or "none"),
        "models": MetadataValue.text(", ".join(report.models) or "none"),
        "seconds": MetadataValue.json({step: round(seconds, 3) for step, seconds in report.seconds.items()}),
    }


def _retrieve(platform: Platform, task: Task) -> TaskContext:
    """Brings the index to the newest commit and ranks its places for the task."""
    used = platform.models.in_use()
    refresh(
        platform.database,
        task.team_id,
        task.source,
        mirrors=platform.mirrors,
        roots=platform.settings.roots,
        secrets=platform.settings.secrets_folder,
        embedders=used.asked,
        building=used.building,
    )
    return search.task_context(
        platform.database, task.team_id, task.source, task.text, embedders=used.asked, fallback=used.fallback
    )


@asset(
    deps=["context_index"],
    partitions_def=SOURCES,
    group_name="tasks",
    kinds={"postgres"},
    description="The places in its source that one task is about, ranked, with reasons.",
)
def task_context(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    began = time.monotonic()
    with open_attempt(context, platform) as attempt:
        task = attempt.task
        found = attempt.output("task_context", TaskContext)
        if found is None:  # else a run before this one got so far, and what follows is built on its commit
            attempt.record("retrieve", {"source": task.source, "title": task.title[:200]})
            found = _retrieve(platform, task)
            places = [f"{p.path}:{p.start_line} {p.symbol}" for p in found.locations[:5]]
            attempt.record("observed", {"commit": found.commit, "places": places})
            attempt.put_output("task_context", found, time.monotonic() - began)
        seconds = time.monotonic() - began
        metadata: dict[str, MetadataValue[Any]] = {
            "issue": MetadataValue.md(f"**{cell(task.title)}**\n\n{fenced(task.body[:8000], 'text')}"),
            "task": MetadataValue.text(str(task.id)),
            "attempt": MetadataValue.int(task.attempt),
            "locations": MetadataValue.md(locations_table(found, 20)),
            "commit": MetadataValue.text(found.commit),
            "index_version": MetadataValue.text(found.index_version),
            "models": MetadataValue.text(", ".join(found.models) or "none"),
            "seconds": MetadataValue.float(round(seconds, 3)),
            "index": MetadataValue.asset(AssetKey("context_index")),
            "plan": MetadataValue.asset(AssetKey("plan")),
        }
        if task.url:
            metadata["issue_link"] = MetadataValue.url(task.url)
        return MaterializeResult(metadata=metadata)
