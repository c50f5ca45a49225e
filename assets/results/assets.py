"""The asset `result`: stores verdict, publications and outcome, then tries to publish."""

import time
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.attempt_run import open_attempt, show_on_run, told
from assets.partitions import SOURCES
from assets.platform import Platform
from assets.results.conclude import conclude, is_accepted
from assets.results.deliver import deliver
from assets.results.forges import find_destination, target_of
from assets.results.publish import Published
from assets.results.questions import Asked, days_to_wait
from assets.results.report import AttemptRecord, commit_message, describe, headline, render
from assets.results.trackers import shows_reports
from assets.shared.markdown import cell, checks_table, code, fenced, tests_summary, tests_table, verdict_text
from core.endings import Ending, read_ending
from core.forge.protocol import PublicationRefused
from core.states import PublicationState, TaskState
from core.work import Execution, Plan, TaskContext, Verdict


@asset(
    deps=["execution"],
    partitions_def=SOURCES,
    group_name="tasks",
    kinds={"git"},
    description="What became of one task: the verdict, what was published, and where.",
    check_specs=[
        AssetCheckSpec(
            name="resolved",
            asset="result",
            description="The newest task has a patch, and its target has not refused it.",
        )
    ],
)
def result(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult:  # type: ignore[type-arg]
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
            *(task.id, task.attempt, task.title, task.event_id, task.url),
            *(found, plan, execution, verdict, attempt.follow_up),
        )
        report = render(record)
        try:
            target = target_of(find_destination(platform, task.team_id, task.source))
        except PublicationRefused:
            target = f"git:{task.source}"  # its publication will say so
        place = f"{task.ticket_service}:{task.ticket_project}"
        ours = target == place
        if not is_accepted(execution, verdict) and shows_reports(platform, task, place):
            target = place  # there is nothing for the forge
        state = conclude(
            attempt,
            execution,
            verdict,
            message=commit_message(record),
            report=report,
            target=target,
            description=describe(record, task.ticket_key if ours else None),
            headline=headline(execution, verdict),
            question_days=days_to_wait(platform, task, target) if execution.question else 0.0,
        )
    with told(context, "deliver"):
        delivered = deliver(platform, task.id)
        for line in delivered.lines():
            context.log.info("%s", line)
    with platform.database.team(task.team_id) as connection:
        ending = read_ending(connection, task.id)
    show_on_run(context, outcome=f"{state.value} {ending.word if ending is not None else ''}")
    metadata: dict[str, MetadataValue[Any]] = {
        "state": MetadataValue.text(state.value),
        "headline": MetadataValue.md(_headline(headline(execution, verdict), ending)),
        "published": MetadataValue.md(_published(delivered.published)),
    }
    if state in (TaskState.WAITING, TaskState.QUEUED):
        metadata["question"] = MetadataValue.md(cell(execution.question))
        metadata["published"] = MetadataValue.md(_asked(delivered.asked))
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
    return MaterializeResult(metadata=metadata, check_results=[_resolved(state, execution, ending)])


def _resolved(state: TaskState, execution: Execution, ending: Ending | None) -> AssetCheckResult:
    """A warning, with the reason, where a run that ended well has nothing to show for it."""
    refused = ending is not None and ending.unpublished
    why = (ending.sentence() if ending is not None and refused else None) or execution.question or execution.summary
    failures = list(execution.evidence.before.failures.items()) if execution.evidence.before else []
    metadata: dict[str, MetadataValue[Any]] = {"state": MetadataValue.text(state.value)}
    if state != TaskState.RESOLVED or refused:
        metadata["why"] = MetadataValue.md(cell(why)[:2000])
        if failures:
            test, said = failures[0]
            metadata["first_failure"] = MetadataValue.md(f"{code(test)}\n\n{fenced(said[:2000], 'text')}")
    return AssetCheckResult(
        check_name="resolved",
        passed=state == TaskState.RESOLVED and not refused,
        severity=AssetCheckSeverity.WARN,
        description=why.partition(". ")[0][:300] if state != TaskState.RESOLVED or refused else None,
        metadata=metadata,
    )


def _headline(text: str, ending: Ending | None) -> str:
    """How it ended; a patch that its target did not take is not left to be understood as published."""
    if ending is None or not ending.has_patch or ending.publication is PublicationState.PUBLISHED:
        return text
    return f"{text}\n\n**{cell(ending.sentence())}.**"


def _asked(asked: list[Asked]) -> str:
    if not asked:
        return "Nothing; the task waits for an answer."
    return "\n".join(f"- question: {code(one.location or one.error or '')}" for one in asked)


def _published(published: list[Published]) -> str:
    if not published:
        return "Another process is publishing it."
    return "\n".join(
        f"- {cell(one.target)}: **{one.state}** {code(one.location or one.error or '')}" for one in published
    )
