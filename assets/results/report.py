"""The report of one attempt, as Markdown: the task, what was tried, and the outcome.

Pure functions of the attempt's records, which publish nothing.
"""

import uuid
from dataclasses import dataclass

from assets.shared.markdown import (
    cell,
    checks_table,
    code,
    fenced,
    hypotheses_table,
    locations_table,
    plan_table,
    tests_summary,
    tests_table,
    verdict_text,
)
from core.follow_ups import FollowUp
from core.work import CandidateCounts, Evidence, Execution, Packages, Plan, TaskContext, Verdict, VerdictKind

MAX_OUTPUT = 4_000
WHERE_IT_LOOKED = "\n## Where it looked"
"""Begins the part of a report that says how its places and its plan were found."""


@dataclass(frozen=True)
class AttemptRecord:
    """An ended attempt with the output of each stage. `url` is the issue's, if it has one."""

    task_id: uuid.UUID
    attempt: int
    title: str
    event_id: str
    url: str | None
    context: TaskContext
    plan: Plan
    execution: Execution
    verdict: Verdict
    follow_up: FollowUp | None = None


def headline(execution: Execution, verdict: Verdict) -> str:
    """One sentence: how it ended."""
    if verdict.verdict is VerdictKind.PASS:
        return "Proven: the patch passed every check of the gate."
    if verdict.verdict is VerdictKind.DRAFT:
        first = verdict.reasons[0] if verdict.reasons else "The evidence is weaker than for a proven patch."
        return f"A draft, please review the patch. {cell(first)}"
    if execution.patch is not None:
        return "Unresolved: a candidate was found, but the gate rejected it. There is only this report."
    return "Unresolved: no patch passed. There is only this report."


def render(record: AttemptRecord) -> str:
    """The whole report. Pure: the same record gives the same text."""
    context, plan, execution, verdict = record.context, record.plan, record.execution, record.verdict
    evidence = execution.evidence
    counts = evidence.candidates
    parts = [
        f"# {cell(record.title)}",
        headline(execution, verdict),
        cell(execution.summary),
        *_asked(record),
        "## Tests",
        _tests_text(evidence),
        tests_table(execution),
    ]
    if execution.patch is not None and verdict.verdict is not VerdictKind.FAIL:
        parts += ["## Patch", fenced(execution.patch.diff, "diff")]
    parts += [
        "## Gate",
        verdict_text(verdict),
        checks_table(verdict),
        "## What was tried",
        f"{_tried(counts)} Sandbox: {evidence.sandbox}." if evidence.before or counts.generated else "Nothing.",
    ]
    if execution.chosen:
        parts.append(cell(execution.chosen))
    if evidence.suspicious:
        places = "\n".join(
            f"- {code(f'{s.path}:{s.start_line}')} {code(s.symbol)} ({s.score:.2f})" for s in evidence.suspicious[:5]
        )
        parts += ["Most suspicious lines:", places]
    if evidence.notes:
        parts.append("\n".join(f"- {cell(note)}" for note in evidence.notes))
    if evidence.before and evidence.target_tests:
        first = evidence.target_tests[0]
        if message := evidence.before.failures.get(first):
            parts += [f"First failure, {code(first)}:", fenced(message[:MAX_OUTPUT], "text")]
    parts += [
        WHERE_IT_LOOKED.strip(),
        locations_table(context),
        "## Plan",
        f"Revision {plan.revision}{', because ' if plan.cause else ': '}{cell(plan.reason)}.",
        hypotheses_table(plan),
        plan_table(plan),
        "---",
        f"Task `{record.task_id}`, attempt {record.attempt}; commit `{context.commit}`; "
        f"index `{context.index_version}`; models {', '.join(context.models) or 'none'}; engine {execution.engine}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _asked(record: AttemptRecord) -> list[str]:
    """What people said about the pull request that the attempt adds to."""
    asked = record.follow_up
    return [] if asked is None else [f"## What was asked at {asked.url}", fenced(asked.request, "text")]


def describe(record: AttemptRecord, ticket: str | None) -> str:
    """The text of a pull request: what was proven and how. `ticket` is the key of the ticket that it closes."""
    execution, verdict = record.execution, record.verdict
    counts = execution.evidence.candidates
    details = [
        "## Gate",
        checks_table(verdict),
        "## What was tried",
        f"{_tried(counts)} Engine {cell(execution.engine)}, sandbox {cell(execution.evidence.sandbox)}. "
        f"{cell(execution.chosen)}".rstrip(),
        WHERE_IT_LOOKED.strip(),
        locations_table(record.context),
    ]
    parts = [
        headline(execution, verdict),
        cell(execution.summary),
        f"Closes {ticket}" if ticket else (f"For {record.url}" if record.url else ""),
        verdict_text(verdict),
        "## Tests",
        _tests_text(execution.evidence),
        tests_table(execution),
        "<details><summary>Evidence</summary>",
        *details,
        "</details>",
        f"Task `{record.task_id}`, attempt {record.attempt}, on commit `{record.context.commit}`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _tried(counts: CandidateCounts) -> str:
    """How many candidates were tried, and what came of them."""
    left = counts.generated - counts.tried
    others = f", and {left:,} more could have been made" if left > 0 else ""
    return (
        f"{counts.tried:,} {'candidate was' if counts.tried == 1 else 'candidates were'} tried{others}. "
        f"{counts.passed_failing_tests:,} of those tried made the failing tests pass, and "
        f"{counts.passed_whole_suite:,} of these left the rest of the suite no worse."
    )


def _tests_text(evidence: Evidence) -> str:
    if evidence.before is None and evidence.after is None:
        return "No test was run."
    return (f"Before: {tests_summary(evidence.before)}. After: {tests_summary(evidence.after)}. "
            f"{packages_summary(evidence.packages)}{services_summary(evidence.services)}")  # fmt: skip


def packages_summary(packages: Packages | None) -> str:
    """What the tests ran with, as a sentence."""
    if packages is None:
        return "They ran with Penstock's own packages."
    shown = f"`penstock env show {cell(packages.key[:12])}`"
    source = f" for {cell(packages.source)}" if packages.source else ""
    if packages.language:
        return f"They ran with {cell(packages.language)},{source}: {shown}."
    when = f", in versions from before {packages.before[:10]}" if packages.before else ""
    return f"They ran with Python {cell(packages.python)} and {len(packages.versions)} packages{source}{when}: {shown}."


def services_summary(services: tuple[str, ...]) -> str:
    """What ran beside the tests, as a sentence; empty for nothing."""
    return f" Beside them ran {cell(', '.join(services))}." if services else ""


def commit_message(record: AttemptRecord) -> str:
    """The message of the one commit of a published branch: the task, the evidence, the ids."""
    execution, verdict = record.execution, record.verdict
    evidence = execution.evidence
    subject = " ".join(record.title.split())
    if len(subject) > 68:
        subject = subject[:67].rstrip() + "…"
    body = [
        f"{'Follow-up' if record.follow_up else 'Fix'}: {subject}",
        "",
        *(f"- {' '.join(test.split())}: {_moved(execution, test)}" for test in evidence.target_tests[:10]),
        f"- whole suite before: {tests_summary(evidence.before)}",
        f"- whole suite after: {tests_summary(evidence.after)}",
        f"- gate: {verdict.verdict} ({', '.join(c.name for c in verdict.checks if c.passed)})",
        f"- engine {execution.engine}: {evidence.candidates.tried} candidates tried in {execution.seconds:.1f} s"
        + (f", operator {evidence.operator}" if evidence.operator else ""),
        "",
    ]
    if verdict.verdict is VerdictKind.DRAFT:
        reasons = [f"  - {' '.join(reason.split())}" for reason in verdict.reasons]
        body += ["DRAFT: the patch passed every check, but on weaker evidence; review it before use.", *reasons, ""]
    if record.follow_up is not None:
        body.append(f"Asked at: {record.follow_up.url}")
    if record.url:
        body.append(f"Issue: {record.url}")
    body += [
        f"Penstock-Task: {record.task_id}",
        f"Penstock-Attempt: {record.attempt}",
        f"Penstock-Event: {record.event_id}",
    ]
    if execution.patch is not None:
        body.append(f"Penstock-Patch: {execution.patch.sha256}")
    return "\n".join(body) + "\n"


def _moved(execution: Execution, test: str) -> str:
    before, after = execution.evidence.before, execution.evidence.after
    return f"{before.outcomes.get(test, '-') if before else '-'} -> {after.outcomes.get(test, '-') if after else '-'}"
