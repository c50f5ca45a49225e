"""The asset `execution`: a plan carried out in the sandbox, with the gate's verdict as asset checks.

The checks do not block: `result` also publishes a report on a rejected patch.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    Failure,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from assets.attempt_run import open_attempt
from assets.executions.attempt.execute import execute
from assets.executions.attempt.state import AttemptInput, Callbacks, Stopped
from assets.executions.engines.open_engine import EngineChoice, open_engine
from assets.executions.environment_assets import EnvironmentSteps, environment_event
from assets.executions.judging.gate import CHECKS, judge
from assets.executions.repository.checkout import open_checkout
from assets.executions.repository.environment import environment_options
from assets.partitions import SOURCES
from assets.platform import Platform
from assets.shared.markdown import (
    cell,
    checks_table,
    code,
    fenced,
    hypotheses_table,
    tests_summary,
    tests_table,
    timeline_table,
    verdict_text,
)
from core.attempts import Attempt
from core.health.totals import Counts, Total
from core.timeline import read_timeline
from core.trajectory import Trajectory
from core.work import Execution, Plan, TaskContext, Verdict
from sandbox.counted import CountedSandbox
from sandbox.environments.store import Store

SHOWN_MOMENTS = 120
CHECK_NAMES = tuple(check.__name__ for check in CHECKS)


@contextmanager
def _work_folder(platform: Platform, attempt: Attempt) -> Iterator[Path]:
    """A folder for this claim alone. Folders of earlier claims, whose runs are dead, are removed."""
    root = platform.settings.home / "work"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    prefix = f"{attempt.task.id}-{attempt.task.attempt}-"
    for old in root.glob(f"{prefix}*"):
        shutil.rmtree(old, ignore_errors=True)
    folder = root / f"{prefix}{attempt.epoch}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _NotedTrajectory(Trajectory):
    """The attempt's trajectory, of which the steps of environments are noted for their own asset."""

    def __init__(self, attempt: Attempt, noted: EnvironmentSteps) -> None:
        super().__init__(attempt)
        self._noted = noted

    def append(self, kind: str, body: dict[str, Any], elapsed: float, digest: str | None = None) -> int:
        self._noted.note(kind, body)
        return super().append(kind, body, elapsed, digest)


def _carry_out(platform: Platform, attempt: Attempt, noted: EnvironmentSteps) -> tuple[Execution, Verdict]:
    found = attempt.output("task_context", TaskContext)
    plan = attempt.output("plan", Plan)
    if found is None or plan is None:
        raise LookupError("no output of an earlier stage is stored for this attempt")
    task, settings = attempt.task, platform.settings
    test = task.options.get("test")
    choice = EngineChoice(str(task.options.get("engine") or settings.engine), task=str(task.id))
    engine = open_engine(choice, settings)

    with _work_folder(platform, attempt) as folder:
        mirror = platform.mirror(task.team_id, task.source)
        checkout = open_checkout(mirror.path, found.commit, folder / "checkout")
        search = partial(platform.search, task.team_id, task.source)
        environments = environment_options(settings, f"{task.team_id}/{task.source}", checkout, str(task.id))
        given = AttemptInput(attempt.text, found, plan, checkout, str(test) if test else None, search, environments)

        callbacks = Callbacks(
            revise=attempt.save_plan, should_stop=attempt.should_stop, store=_NotedTrajectory(attempt, noted)
        )
        execution = execute(given, engine, CountedSandbox(platform.sandbox, attempt.counts), callbacks)
    return execution, judge(execution.evidence, execution.patch)


def _used(done: Execution) -> Counts:
    """What the execution's model has cost, by its name."""
    counts, model = Counts(), done.model
    if model is not None:
        name = model.model.partition("@")[0]
        counts.note(Total.MODEL_REQUESTS, name, model.steps)
        counts.note(Total.MODEL_RETRIES, name, model.retries)
        counts.note(Total.PROMPT_TOKENS, name, model.prompt_tokens)
        counts.note(Total.COMPLETION_TOKENS, name, model.completion_tokens)
        counts.note(Total.MODEL_MONEY, name, model.money)
        counts.note(Total.MODEL_SECONDS, name, model.seconds)
    return counts


@asset(
    deps=["plan"],
    partitions_def=SOURCES,
    group_name="tasks",
    kinds={"python"},
    check_specs=[
        AssetCheckSpec(name=check.__name__, asset="execution", description=(check.__doc__ or "").split("\n")[0])
        for check in CHECKS
    ],
    description="One task carried out in the sandbox: a candidate patch with its evidence, or why none was found.",
)
def execution(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult:  # type: ignore[type-arg]
    began = time.monotonic()
    with open_attempt(context, platform) as attempt:
        done = attempt.output("execution", Execution)
        verdict = attempt.output("gate", Verdict)
        if done is None or verdict is None:
            try:
                noted = EnvironmentSteps()
                done, verdict = _carry_out(platform, attempt, noted)
            except Stopped as stopped:
                raise Failure(str(stopped), allow_retries=False) from stopped
            attempt.put_output("execution", done, time.monotonic() - began, _used(done))
            attempt.put_output("gate", verdict, 0.0)
            _show_environment(context, platform, done, noted)
        metadata = {**_metadata(done, verdict), **_course(attempt)}
    return MaterializeResult(metadata=metadata, check_results=_checks(done, verdict))


def _course(attempt: Attempt) -> dict[str, MetadataValue[Any]]:
    """What the attempt did, and what became of its plan."""
    plan = attempt.latest_plan()
    with attempt.database.team(attempt.task.team_id) as connection:
        moments = read_timeline(connection, *attempt.key)
    shown = timeline_table([*moments[: SHOWN_MOMENTS // 2], *moments[SHOWN_MOMENTS // 2 :][-SHOWN_MOMENTS // 2 :]])
    found: dict[str, MetadataValue[Any]] = {"timeline": MetadataValue.md(shown)}
    if plan is not None:
        found["hypotheses"] = MetadataValue.md(hypotheses_table(plan))
        found["plan_revision"] = MetadataValue.int(plan.revision)
    return found


def _show_environment(
    context: AssetExecutionContext, platform: Platform, done: Execution, noted: EnvironmentSteps
) -> None:
    settings = platform.settings
    store = Store(settings.cache / "environments", int(settings.environments_gib * (1 << 30)))
    event = environment_event(context.partition_key, done.evidence.packages, noted, store)
    if event is not None:
        context.log_event(event)


def _checks(done: Execution, verdict: Verdict) -> list[AssetCheckResult]:
    by_name = {check.name.replace("-", "_"): check for check in verdict.checks}
    results = []
    for name in CHECK_NAMES:
        check = by_name.get(name)
        results.append(
            AssetCheckResult(
                check_name=name,
                passed=check is not None and check.passed,
                severity=AssetCheckSeverity.WARN if done.patch is None else AssetCheckSeverity.ERROR,
                description=check.detail if check else "There is no patch to judge.",
                metadata={"verdict": MetadataValue.text(verdict.verdict.value)},
            )
        )
    return results


def _metadata(done: Execution, verdict: Verdict) -> dict[str, MetadataValue[Any]]:
    evidence = done.evidence
    counts = evidence.candidates
    suspicious = "\n".join(
        f"- {code(f'{place.path}:{place.start_line}')} {code(place.symbol)} ({place.score:.3f})"
        for place in evidence.suspicious[:10]
    )
    metadata: dict[str, MetadataValue[Any]] = {
        "summary": MetadataValue.md(cell(done.summary)),
        "verdict": MetadataValue.text(verdict.verdict.value),
        "gate": MetadataValue.md(f"{verdict_text(verdict)}\n\n{checks_table(verdict)}"),
        "tests": MetadataValue.md(tests_table(done)),
        "tests_before": MetadataValue.text(tests_summary(evidence.before)),
        "tests_after": MetadataValue.text(tests_summary(evidence.after)),
        "suspicious": MetadataValue.md(suspicious or "none"),
        "engine": MetadataValue.text(f"{done.engine}: {done.chosen}" if done.chosen else done.engine),
        "sandbox": MetadataValue.text(evidence.sandbox),
        "iterations": MetadataValue.int(done.iterations),
        "changed_lines": MetadataValue.int(done.changed_lines),
        "candidates_tried": MetadataValue.int(counts.tried),
        "candidates": MetadataValue.json(counts.model_dump()),
        "timings": MetadataValue.json({**evidence.timings, "total": done.seconds}),
        "plan": MetadataValue.asset(AssetKey("plan")),
        "result": MetadataValue.asset(AssetKey("result")),
    }
    if done.model is not None:
        metadata["model"] = MetadataValue.json(done.model.model_dump())
    if done.patch is not None:
        metadata["patch"] = MetadataValue.md(fenced(done.patch.diff[:60_000], "diff"))
        metadata["patch_sha256"] = MetadataValue.text(done.patch.sha256)
    if evidence.notes:
        metadata["notes"] = MetadataValue.md("\n".join(f"- {cell(note)}" for note in evidence.notes))
    first = next((t for t in evidence.target_tests if evidence.before and t in evidence.before.failures), None)
    if first and evidence.before:
        metadata["first_failure"] = MetadataValue.md(fenced(evidence.before.failures[first][:4000], "text"))
    return metadata
