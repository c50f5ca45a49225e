"""`penstock eval run` and `runs`: runs a subject on a set with live progress, and lists runs."""

import sys
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from core.counts import counted
from dagster_project.cli.eval.errors import SetName, user_errors
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.eval_places import code_commit, find_set, result_store

if TYPE_CHECKING:
    from assets.evals.runs.results import ResultRow
    from assets.evals.runs.runner import RunState

FLAKY_NAMED = 10


@user_errors
def run(
    name: SetName,
    subject: Annotated[
        str | None,
        typer.Option(help="The subject under test, for example search, search:seconds=10, scripted:skill=0.8."),
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Short for --subject with an engine and, if it needs one, the chat model set.")
    ] = None,
    split: Annotated[str, typer.Option(help="A split of the set, or all.")] = "all",
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each case.")] = 1,
    parallel: Annotated[
        int, typer.Option(min=1, max=64, help="Cases at a time; durations are only comparable with 1.")
    ] = 1,
    named: Annotated[
        str | None, typer.Option("--run", help="The run's name; a stopped run of this name resumes.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of order and randomness; compare runs with equal seeds.")] = 0,
    case_seconds: Annotated[float, typer.Option(min=1, max=86_400, help="Timeout of one case in seconds.")] = 600.0,
    max_seconds: Annotated[
        float | None, typer.Option(min=1, help="Timeout of the run in seconds; it can be resumed.")
    ] = None,
    max_tokens: Annotated[float | None, typer.Option(min=1, help="Limit of the total tokens.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Limit of the total cost.")] = None,
    stop_early: Annotated[
        str | None, typer.Option(help="A baseline's run or subject: stop once success is certainly worse than its.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Print results by this stratum: language, family or bug_class of a repair set.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a subject on a set. Exit code 1 if results are missing at the end."""
    from assets.evals.compare.drift import find_drift, note_status
    from assets.evals.runs.runner import RunLimits, new_record, run_set
    from assets.evals.sets.eval_set import load_set
    from assets.evals.sets.set_checks import check_set
    from dagster_project.subjects.registry import open_subject

    subject = _subject(subject, engine)
    found = load_set(find_set(name))
    if problems := check_set(found).problems:
        raise CommandFailed("; ".join(problems))
    tested, store = open_subject(subject), result_store()
    if found.manifest.kind not in tested.kinds:
        raise CommandFailed(f"{tested.name} cannot run sets of kind {found.manifest.kind!r}")
    limits = RunLimits(
        case_seconds=case_seconds, total_seconds=max_seconds, total_tokens=max_tokens, total_cost=max_cost
    )
    fresh = f"{found.name}-{tested.name}-{datetime.now(UTC):%Y%m%dt%H%M%S}-{uuid.uuid4().hex[:4]}"
    record = new_record(
        found, split, tested, run=named or fresh, repeats=repeats, seed=seed, parallel=parallel, limits=limits,
        code_commit=code_commit(),
    )  # fmt: skip
    with _Live(quiet=as_json) as tell:
        baseline = store.resolve(stop_early) if stop_early else None
        try:
            state = run_set(found, tested, store, record, limits=limits, tell=tell, stop_early=baseline)
        except KeyboardInterrupt:
            note(f"\npenstock: interrupted; finished results are stored; {_resume(name, subject, record.run)}")
            raise typer.Exit(130) from None
    drift = find_drift(store, store.record(record.run)) if state.complete else None
    if drift is not None:
        note_status(store, store.record(record.run), drift)
    summary = {
        "run": record.run, "set": found.name, "version": found.version, "subject": tested.name, "total": state.total,
        "done": state.done, "succeeded": state.succeeded, "failed": state.failed,
        "infrastructure": state.infrastructure, "not_runnable": state.not_runnable, "resumed": state.resumed,
        "retried": state.retried,
        "flaky": list(state.flaky), "stopped": state.stopped, "complete": state.complete,
        "drifted": drift.drifted if drift else None,
    }  # fmt: skip
    if as_json:
        data(summary)
    else:
        line(f"{state.succeeded} of {state.succeeded + state.failed} succeeded; {state.infrastructure} lost to "
             f"infrastructure; {state.done} of {state.total} done")  # fmt: skip
        if state.flaky:
            more = f" and {len(state.flaky) - FLAKY_NAMED} more" if len(state.flaky) > FLAKY_NAMED else ""
            line(f"flaky: {', '.join(state.flaky[:FLAKY_NAMED])}{more}")
        rows = store.rows(record.run)
        _print_strata(rows, by)
        _print_not_runnable(rows)
        line(f"run: {record.run}")
        if drift is not None and drift.drifted:
            line(f"DRIFTED since {drift.before.run if drift.before else 'before'}: {drift.sentence}")
    if not state.complete:
        why = state.stopped or "results are missing"
        note(f"penstock: {why}; {_resume(name, subject, record.run)}")
        raise typer.Exit(1)


def _print_strata(rows: "Sequence[ResultRow]", by: str | None) -> None:
    """A table of the results by one stratum, by default the language and the family of a repair set."""
    from assets.evals.report.by_stratum import by_stratum

    for name in (by,) if by else ("language", "family"):
        found = by_stratum(rows, name)
        if len(found) < 2 and not by:
            continue
        table(
            [name, "cases", "resolved", "patches", "correct", "candidates", "seconds"],
            [[one.value, one.cases, one.resolved, one.patches, one.correct, one.candidates, f"{one.seconds:.1f}"]
             for one in found],
            empty=f"No result has the stratum {name!r}.",
        )  # fmt: skip


def _print_not_runnable(rows: "Sequence[ResultRow]") -> None:
    """Each reason for which cases could not be run on this machine, once."""
    from assets.evals.runs.subject import CaseOutcome

    why: dict[str, int] = {}
    for row in rows:
        if row.outcome == CaseOutcome.NOT_RUNNABLE:
            why[row.summary] = why.get(row.summary, 0) + 1
    for reason, count in why.items():
        line(f"not runnable here: {counted(count, 'case')}. {reason}")


def _subject(subject: str | None, engine: str | None) -> str:
    """The subject that is named, or that an engine is with the chat model of the settings."""
    from core.settings import load_settings

    if (subject is None) is (engine is None):
        raise typer.BadParameter("name what is tested: either --subject or --engine", param_hint="--subject")
    if subject is not None:
        return subject
    model = load_settings().chat_model
    return f"{engine}:model={model}" if engine in ("model", "hybrid") and model else str(engine)


def _resume(name: str, subject: str, run: str) -> str:
    return f"resume with: penstock eval run {name} --subject {subject} --run {run} …"


class _Live:
    """Live counts: one line that is redrawn on a terminal, a line every few seconds elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet, self._shown_at, self._drawn, self._shown = quiet, 0.0, False, ""

    def __enter__(self) -> "Callable[[RunState], None]":
        return self._show

    def _show(self, state: "RunState") -> None:
        terminal, now = sys.stderr.isatty(), time.monotonic()
        if self._quiet or (now - self._shown_at < (0.1 if terminal else 5.0) and state.done < state.total):
            return
        self._shown_at = now
        counts = f"{state.done}/{state.total} done, {state.succeeded} succeeded, {state.failed} failed"
        counts += f", {state.infrastructure} lost" if state.infrastructure else ""
        counts += f", {state.not_runnable} not runnable here" if state.not_runnable else ""
        counts += f", {state.resumed} resumed" if state.resumed else ""
        if counts == self._shown:
            return
        self._shown = counts
        if terminal:
            last = "".join(one if one.isprintable() else " " for one in state.last)[:50]
            sys.stderr.write(f"\r\x1b[2K{counts}  {last}")
            sys.stderr.flush()
            self._drawn = True
        else:
            note(counts)

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            sys.stderr.write("\n")


@user_errors
def runs(as_json: AsJson = False) -> None:
    """List all runs with their success rates, oldest first."""
    from assets.evals.report.summary import summarise

    store = result_store()
    found = [summarise(store, record) for record in store.runs()]
    if as_json:
        from assets.evals.report.formats import json_values

        data([json_values(one) for one in found])
        return
    table(
        ["run", "set", "subject", "success", "results", "lost", "flaky"],
        [
            [one.record.run, f"{one.record.set_name} {one.record.set_version}", one.record.subject,
             "" if one.success is None else f"{one.success:.1%}",
             f"{one.results}/{one.record.cases * one.record.repeats}", one.infrastructure, len(one.flaky)]
            for one in found
        ],
        empty="No run yet: penstock eval run SET --subject search",
    )  # fmt: skip
