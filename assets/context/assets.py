"""The assets `context_index` (a source's index) and `task_context` (the places in the code that a task is about)."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    Failure,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.attempt_run import open_attempt, show_on_run
from assets.context import search
from assets.context.asset_checks import SPECS, check_results, docs_folder, show
from assets.context.indexing.quality import GateFailed, last_gate
from assets.context.indexing.quality_sample import Sample, take_sample
from assets.context.indexing.refresh import RefreshReport, refresh
from assets.context.models.model_vectors import note_query
from assets.context.tickets.search import TicketHit
from assets.context.tickets.similar import similar_tickets, tickets_table
from assets.partitions import SOURCES, parse_partition
from assets.platform import Platform
from assets.shared.markdown import cell, code, fenced, locations_table
from core.attempts import Attempt
from core.embedding import EmbedderUnavailable
from core.forge.protocol import PublicationRefused
from core.health.freshness import SourceFreshness, read_freshness
from core.tasks import Task
from core.work import TaskContext

CHANGED_TAG = "penstock/changed-at"
"""Tag of a run: when the oldest of its changes was accepted, in ISO 8601."""


@asset(
    partitions_def=SOURCES,
    group_name="context",
    kinds={"git", "postgres"},
    check_specs=SPECS,
    description="The searchable index of a source at its newest commit.",
)
def context_index(
    context: AssetExecutionContext, platform: ResourceParam[Platform]
) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
    team_id, source = parse_partition(context.partition_key)
    folder = docs_folder(platform.settings.home, team_id, source)
    used = platform.models.in_use()
    taken: list[Sample] = []
    try:
        report = refresh(
            platform.database,
            team_id,
            source,
            mirrors=platform.mirrors,
            roots=platform.settings.roots,
            secrets=platform.settings.secrets_folder,
            embedders=used.asked,
            building=used.building,
            changed_at=changed_at(context.run.tags),
            on_step=lambda step: context.log.debug("refresh of %s: %s", source, step),
            look=lambda connection, staged, gate: taken.append(take_sample(connection, staged, gate)),
        )
    except GateFailed as failed:
        yield from check_results(failed.gate, show(folder, taken[-1] if taken else None))
        raise Failure(str(failed), allow_retries=False) from failed
    with platform.database.team(team_id) as connection:
        gate = last_gate(connection, team_id, source)
        fresh = read_freshness(connection, source)
    shown = show(folder, taken[-1] if taken else None)
    yield from check_results(gate, shown)
    yield MaterializeResult(metadata=_refresh_metadata(report) | _freshness_metadata(fresh, shown.page))


def changed_at(tags: Mapping[str, str]) -> datetime | None:
    """When the oldest change that a run is for was accepted, by the run's tags; None if they don't say."""
    try:
        found = datetime.fromisoformat(tags.get(CHANGED_TAG, ""))
    except ValueError:  # a run that a user started has no such tag, or an arbitrary one
        return None
    return found if found.tzinfo else None


def _freshness_metadata(fresh: Sequence[SourceFreshness], page: Path | None) -> dict[str, MetadataValue[Any]]:
    metadata: dict[str, MetadataValue[Any]] = {}
    for one in fresh[:1]:
        if one.lag_seconds is not None:
            metadata["lag_seconds"] = MetadataValue.float(round(one.lag_seconds, 3))
        lags = {model.model: round(model.lag_seconds, 3) for model in one.models if model.lag_seconds is not None}
        metadata["lag_seconds_by_model"] = MetadataValue.json(lags)
        metadata["state"] = MetadataValue.text(one.state)
        metadata["changes_waiting"] = MetadataValue.int(one.waiting)
    if page:
        metadata["data_docs"] = MetadataValue.path(page)
    return metadata


def _refresh_metadata(report: RefreshReport) -> dict[str, MetadataValue[Any]]:
    skipped = "\n".join(f"- {code(path)}: {cell(reason)}" for path, reason in report.skipped[:100])
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


def _retrieve(platform: Platform, attempt: Attempt) -> TaskContext:
    """Updates the index to the newest commit and ranks its places for the task. An attempt at a pull request begins at
    the head of its branch; its places are those of the source's branch. Raises `PublicationRefused`."""
    task, text, follow_up = attempt.task, attempt.text.text, attempt.follow_up
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
    note_query(platform.database, task.team_id, task.source, text)
    found = search.task_context(
        platform.database, task.team_id, task.source, text, embedders=used.asked, fallback=used.draining
    )
    if follow_up is None:
        return found
    if not platform.bring(task, follow_up):
        raise PublicationRefused(f"branch {follow_up.branch} does not have commit {follow_up.head[:12]} any more")
    return found.model_copy(update={"commit": follow_up.head})


def _similar(platform: Platform, task: Task) -> list[TicketHit]:
    try:
        asked = platform.models.in_use().asked
    except EmbedderUnavailable:
        asked = ()  # search by words alone: the list is only informative and must not fail the task
    return similar_tickets(platform.database, task, embedders=asked)


@asset(
    deps=["context_index"],
    partitions_def=SOURCES,
    group_name="tasks",
    kinds={"postgres"},
    description="The places in its source that one task is about, ranked, with reasons.",
)
def task_context(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    began = time.monotonic()
    with open_attempt(context, platform, first=True) as attempt:
        task = attempt.task
        show_on_run(context, issue=f"{task.ticket_key or ''} {task.title}")
        found = attempt.output("task_context", TaskContext)
        if found is None:  # else an earlier run of this attempt found it, and the next stages use its commit
            attempt.record("retrieve", {"source": task.source, "title": task.title[:200]})
            found = _retrieve(platform, attempt)
            places = [f"{p.path}:{p.start_line} {p.symbol}" for p in found.locations[:5]]
            attempt.record("observed", {"commit": found.commit, "places": places})
            attempt.put_output("task_context", found, time.monotonic() - began)
        seconds = time.monotonic() - began
        metadata: dict[str, MetadataValue[Any]] = {
            "issue": MetadataValue.md(f"**{cell(task.title)}**\n\n{fenced(attempt.text.body[:8000], 'text')}"),
            "task": MetadataValue.text(str(task.id)),
            "attempt": MetadataValue.int(task.attempt),
            "locations": MetadataValue.md(locations_table(found, 20)),
            "commit": MetadataValue.text(found.commit),
            "index_version": MetadataValue.text(found.index_version),
            "models": MetadataValue.text(", ".join(found.models) or "none"),
            "similar_tickets": MetadataValue.md(tickets_table(_similar(platform, task))),
            "seconds": MetadataValue.float(round(seconds, 3)),
            "index": MetadataValue.asset(AssetKey("context_index")),
            "plan": MetadataValue.asset(AssetKey("plan")),
        }
        if task.url:
            metadata["issue_link"] = MetadataValue.url(task.url)
        return MaterializeResult(metadata=metadata)
