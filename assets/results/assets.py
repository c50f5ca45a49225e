"""The asset `result`: stores verdict, publications and outcome, then tries to publish."""

import time
import uuid
from typing import Any

from dagster import AssetExecutionContext, AssetKey, MaterializeResult, MetadataValue, ResourceParam, asset

from assets.attempt_run import open_attempt
from assets.partitions import SOURCES
from assets.platform import Platform
from assets.results.conclude import Published, conclude, publish_due
from assets.results.report import AttemptRecord, commit_message, headline, render
from assets.shared.markdown import cell, checks_table, code, fenced, tests_summary, tests_table, verdict_text
from core.forge.local_git import LocalGit
from core.forge.protocol import Forge, PublicationRefused
from core.git import GitError, confine, is_url
from core.work import Execution, Plan, TaskContext, Verdict


def open_forge_for(platform: Platform, team_id: uuid.UUID, source: str) -> Forge:
    """The forge to which results of a source are published. Raises `PublicationRefused` if it has none."""
    with platform.database.team(team_id) as connection:
        row = connection.execute("SELECT location FROM sources WHERE name = %s", (source,)).fetchone()
    if row is None:
        raise PublicationRefused(f"source {source!r} is no longer configured")
    location = str(row[0])
    if is_url(location):
        raise PublicationRefused(
            f"source {source!r} is a URL, and publishing to URLs is not supported; the patch is stored with the task"
        )
    try:
        return LocalGit(confine(location, platform.settings.roots), source)
    except GitError as error:
        raise PublicationRefused(str(error)) from error


@asset(
    deps=["execution"],
    partitions_def=SOURCES,
    group_name="tasks",
    kinds={"git"},
    description="What became of one task: the verdict, what was published, and where.",
)
def result(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    began = time.monotonic()
    with open_attempt(context, platform) as attempt:
        task = attempt.task
        found = attempt.output("task_context", TaskContext)
        execution = attempt.output("execution", Execution)
        verdict = attempt.output("gate", Verdict)
        if found is None or execution is None or verdict is None:
            raise LookupError("no output of an earlier stage is stored for this attempt")
        plan = attempt.latest_plan() or attempt.output("plan", Plan)
        assert plan is not None  # noqa: S101  stored before the execution began
        record = AttemptRecord(
            task.id, task.attempt, task.title, task.event_id, task.url, found, plan, execution, verdict
        )
        report = render(record)
        conclude(
            attempt, execution, verdict, message=commit_message(record), report=report, target=f"git:{task.source}"
        )
    published = publish_due(
        platform.database, lambda team, source: open_forge_for(platform, team, source), task_id=task.id
    )
    for one in published:
        context.log.info("%s: %s %s", one.target, one.state, one.location or one.error)
    metadata: dict[str, MetadataValue[Any]] = {
        "headline": MetadataValue.md(headline(execution, verdict)),
        "published": MetadataValue.md(_published(published)),
    }
    if execution.patch is not None:
        metadata["patch"] = MetadataValue.md(fenced(execution.patch.diff[:60_000], "diff"))
    if task.url:
        metadata["issue_link"] = MetadataValue.url(task.url)
    metadata |= {
        "issue": MetadataValue.md(f"**{cell(task.title)}**\n\n{fenced(task.body[:8000], 'text')}"),
        "gate": MetadataValue.md(f"{verdict_text(verdict)}\n\n{checks_table(verdict)}"),
        "tests": MetadataValue.md(tests_table(execution)),
        "tests_before": MetadataValue.text(tests_summary(execution.evidence.before)),
        "tests_after": MetadataValue.text(tests_summary(execution.evidence.after)),
        "report": MetadataValue.md(report[:60_000]),
        "task": MetadataValue.text(str(task.id)),
        "seconds": MetadataValue.float(round(time.monotonic() - began, 3)),
        "seconds_since_the_event": MetadataValue.float(round(time.time() - task.created_at.timestamp(), 3)),
        "execution": MetadataValue.asset(AssetKey("execution")),
        "plan": MetadataValue.asset(AssetKey("plan")),
        "context": MetadataValue.asset(AssetKey("task_context")),
    }
    return MaterializeResult(metadata=metadata)


def _published(published: list[Published]) -> str:
    if not published:
        return "Another process is publishing it."
    return "\n".join(
        f"- {cell(one.target)}: **{one.state}** {code(one.location or one.error or '')}" for one in published
    )
