"""`penstock eval`: run sets, compare runs, and say whether a change is safe."""

import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.eval_places import code_commit, find_set, result_store, set_roots

if TYPE_CHECKING:
    from assets.evals.runner import RunState

evals = typer.Typer(
    name="eval", help="Regression evals: run sets of tasks, and compare a candidate with a baseline.",
    no_args_is_help=True,
)  # fmt: skip

P = ParamSpec("P")
T = TypeVar("T")

SetName = Annotated[str, typer.Argument(metavar="SET", help="A set's name, or the folder that holds it.")]


class FailOn(StrEnum):
    NEVER = "never"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"


def _told(command: Callable[P, T]) -> Callable[P, T]:
    """What is wrong with a set, a run or a question is told in a line."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        from assets.evals.compare import NotComparable
        from assets.evals.query import QueryRefused
        from assets.evals.repair_set import RepairSetError
        from assets.evals.sets import EvalSetError
        from assets.evals.store import StoreError
        from assets.evals.subject import SubjectCannotStart
        from dagster_project.subjects import UnknownSubject

        known = (
            EvalSetError, RepairSetError, StoreError, NotComparable, QueryRefused, SubjectCannotStart, UnknownSubject,
        )  # fmt: skip
        try:
            return command(*args, **kwargs)
        except known as error:
            raise CommandFailed(str(error)) from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise CommandFailed(f"{where}{error.strerror or error}") from error

    return run


@evals.command("sets")
@_told
def sets(as_json: AsJson = False) -> None:
    """List the eval sets, and what is wrong with them. Exit code 1 if anything is."""
    from assets.evals.set_checks import check_set
    from assets.evals.sets import EvalSetError, find_sets, load_set

    rows: list[dict[str, Any]] = []
    for name, root in find_sets(set_roots()).items():
        try:
            found = load_set(root)
            looked = check_set(found)
            rows.append(
                {
                    "name": name, "kind": found.manifest.kind, "version": found.version, "sha256": found.sha256,
                    "cases": len(found.cases), "clusters": found.clusters, "splits": list(found.manifest.splits),
                    "licence": found.manifest.licence, "title": found.manifest.title, "folder": str(root),
                    "problems": list(looked.problems), "remarks": list(looked.remarks),
                }
            )  # fmt: skip
        except EvalSetError as error:
            rows.append({"name": name, "folder": str(root), "problems": [str(error)], "remarks": []})
    if as_json:
        data(rows)
    else:
        table(
            ["set", "version", "hash", "cases", "clusters", "splits", "what"],
            [
                [row["name"], row.get("version", "?"), row.get("sha256", "")[:12], row.get("cases", "?"),
                 row.get("clusters", "?"), ", ".join(row.get("splits", [])), row.get("title", "unusable")]
                for row in rows
            ],
            empty="no eval sets",
        )  # fmt: skip
        for row in rows:
            for said in (*row["problems"], *row["remarks"]):
                note(f"{row['name']}: {said}")
    if any(row["problems"] for row in rows):
        raise typer.Exit(1)


@evals.command("seal")
@_told
def seal_set(name: SetName) -> None:
    """Record what the set's present version holds. Its cases cannot change afterwards without a new version."""
    from assets.evals.set_checks import check_set
    from assets.evals.sets import load_set, seal

    root = find_set(name)
    problems = check_set(load_set(root, sealed=False)).problems
    if problems:
        raise CommandFailed("; ".join(problems))
    sealed = seal(root)
    line(f"{sealed.name} {sealed.version}: {len(sealed.cases)} cases, {sealed.sha256}")


@evals.command("add")
@_told
def add(
    name: SetName,
    case: Annotated[Path, typer.Argument(help="A folder; for plain sets, a file of JSON lines.", exists=True)],
) -> None:
    """Add a case to a set, as its next minor version."""
    from assets.evals.additions import add_case

    grown = add_case(find_set(name), case)
    line(f"{grown.name} {grown.version}: {len(grown.cases)} cases")


@evals.command("harvest")
@_told
def harvest_case(
    name: SetName,
    case: Annotated[str, typer.Argument(metavar="ID", help="The new case's id, as page-numbers-off-by-one.")],
    repo: Annotated[Path, typer.Option(help="The git repository.", exists=True, file_okay=False)],
    issue: Annotated[Path, typer.Option(help="The issue; its title in the first line.", exists=True, dir_okay=False)],
    fixed: Annotated[str, typer.Option(help="The commit with the accepted fix and its tests, or its branch.")],
    bug_class: Annotated[str, typer.Option(help="What kind of bug, as off-by-one.")],
    family: Annotated[str, typer.Option(help="A family of the set, as condition or numeric.")],
    base: Annotated[str | None, typer.Option(help="The commit before the fix; the parent if not given.")] = None,
    split: Annotated[str, typer.Option(help="dev, or check for cases that nobody looks into.")] = "check",
    visible: Annotated[
        list[str] | None, typer.Option(help="A test of the fix that the solver may see; may be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for proposals.")] = Path("proposed-cases"),
) -> None:
    """Propose a case from an accepted fix, as that of a resolved task. It counts once `eval add` takes it in."""
    from datetime import date

    from pydantic import ValidationError

    from assets.evals.harvest import harvest
    from assets.evals.repair_set import CaseFields, check_case, load_case
    from assets.evals.sets import load_set
    from core.git import Repository
    from core.settings import load_settings
    from sandbox import open_sandbox

    found = load_set(find_set(name))
    if found.manifest.kind != "repair":
        raise CommandFailed(f"{found.name} is of kind {found.manifest.kind!r}; cases are harvested for sets of repairs")
    pytest = ("python", "-m", "pytest", "-q")
    try:
        fields = CaseFields.model_validate(
            {
                "id": case, "bug_class": bug_class, "family": family, "split": split, "cluster": repo.resolve().name,
                "expected": "resolved", "runner": "pytest", "layout": "src" if (repo / "src").is_dir() else "flat",
                "test": pytest, "heldback": pytest, "tags": ("harvested",), "created": date.today(),
            }
        )  # fmt: skip
    except ValidationError as error:
        raise CommandFailed("; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())) from error
    folder = harvest(
        Repository(repo.resolve()), base or f"{fixed}~1", fixed, fields, issue.read_text(encoding="utf-8"), out,
        visible=tuple(visible or ()),
    )  # fmt: skip
    problems = check_case(load_case(folder), open_sandbox(load_settings().sandbox))
    line(f"proposed: {folder}")
    for problem in problems:
        line(f"not sound yet: {problem}")
    if problems:
        raise typer.Exit(1)
    line(f"Read it as a stranger would; then: penstock eval add {name} {folder}")


@evals.command("run")
@_told
def run(
    name: SetName,
    subject: Annotated[str, typer.Option(help="What is tested: search, search:seconds=10, scripted:skill=0.8.")],
    split: Annotated[str, typer.Option(help="A split of the set, or all.")] = "all",
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="How often each case is run.")] = 1,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Cases at a time; times are only fair with 1.")] = 1,
    named: Annotated[
        str | None, typer.Option("--run", help="The run's name. A run of this name that was stopped goes on.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For order and chance; compare runs with equal seeds.")] = 0,
    case_seconds: Annotated[float, typer.Option(min=1, max=86_400, help="Limit of one case.")] = 600.0,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Limit of the run; it can be resumed.")] = None,
    max_tokens: Annotated[float | None, typer.Option(min=1, help="Limit of all tokens.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Limit of all cost.")] = None,
    stop_early: Annotated[
        str | None, typer.Option(help="A baseline's run or subject: end once success is known to be worse than its.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a subject over a set. Exit code 1 when results are missing in the end."""
    from assets.evals.runner import RunLimits, new_record, run_set
    from assets.evals.set_checks import check_set
    from assets.evals.sets import load_set
    from dagster_project.subjects import open_subject

    found = load_set(find_set(name))
    if problems := check_set(found).problems:
        raise CommandFailed("; ".join(problems))
    tested, store = open_subject(subject), result_store()
    if found.manifest.kind not in tested.kinds:
        raise CommandFailed(f"{tested.name} does not understand sets of kind {found.manifest.kind!r}")
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
        state = run_set(found, tested, store, record, limits=limits, tell=tell, stop_early=baseline)
    told = {
        "run": record.run, "set": found.name, "version": found.version, "subject": tested.name, "total": state.total,
        "done": state.done, "succeeded": state.succeeded, "failed": state.failed,
        "infrastructure": state.infrastructure, "resumed": state.resumed, "retried": state.retried,
        "flaky": list(state.flaky), "stopped": state.stopped, "complete": state.complete,
    }  # fmt: skip
    if as_json:
        data(told)
    else:
        line(f"{state.succeeded} of {state.succeeded + state.failed} succeeded; {state.infrastructure} lost to "
             f"infrastructure; {state.done} of {state.total} done")  # fmt: skip
        if state.flaky:
            line(f"flaky: {', '.join(state.flaky)}")
        line(f"run: {record.run}")
    if not state.complete:
        why = state.stopped or "results are missing"
        note(f"penstock: {why}; go on with: penstock eval run {name} --subject {subject} --run {record.run} …")
        raise typer.Exit(1)


class _Live:
    """Live counts: one line that is redrawn on a terminal, a line every few seconds elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet, self._told, self._drawn, self._said = quiet, 0.0, False, ""

    def __enter__(self) -> "Callable[[RunState], None]":
        return self._tell

    def _tell(self, state: "RunState") -> None:
        terminal, now = sys.stderr.isatty(), time.monotonic()
        if self._quiet or (now - self._told < (0.1 if terminal else 5.0) and state.done < state.total):
            return
        self._told = now
        said = f"{state.done}/{state.total} done, {state.succeeded} succeeded, {state.failed} failed"
        said += f", {state.infrastructure} lost" if state.infrastructure else ""
        said += f", {state.resumed} from before" if state.resumed else ""
        if said == self._said:
            return
        self._said = said
        if terminal:
            last = "".join(one if one.isprintable() else " " for one in state.last)[:50]
            sys.stderr.write(f"\r\x1b[2K{said}  {last}")
            sys.stderr.flush()
            self._drawn = True
        else:
            note(said)

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            sys.stderr.write("\n")


@evals.command("runs")
@_told
def runs(as_json: AsJson = False) -> None:
    """List all runs with their success, oldest first."""
    from assets.evals.summary import summarise

    store = result_store()
    found = [summarise(store, record) for record in store.runs()]
    if as_json:
        from assets.evals.report import plain

        data([plain(one) for one in found])
        return
    table(
        ["run", "set", "subject", "success", "results", "lost", "flaky"],
        [
            [one.record.run, f"{one.record.set_name} {one.record.set_version}", one.record.subject,
             "" if one.success is None else f"{one.success:.1%}",
             f"{one.results}/{one.record.cases * one.record.repeats}", one.infrastructure, len(one.flaky)]
            for one in found
        ],
        empty="no runs yet",
    )  # fmt: skip


@evals.command("compare")
@_told
def compare(
    baseline: Annotated[str, typer.Argument(help="A run, or a subject whose newest run is meant.")],
    candidate: Annotated[str, typer.Argument(help="The run or subject that may replace it.")],
    out: Annotated[
        Path | None, typer.Option(help="Write report.html, report.md, report.json and junit.xml into this folder.")
    ] = None,
    across_versions: Annotated[
        bool, typer.Option("--across-versions", help="Compare cases with equal ids of two versions of a set.")
    ] = False,
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit code 1 for `worse`, or for `worse` and `inconclusive`.")
    ] = FailOn.NEVER,
    as_json: AsJson = False,
) -> None:
    """Say whether the candidate is better, not worse, worse, or whether that cannot be said."""
    from assets.evals.compare import compare_runs
    from assets.evals.report import parts_of, to_json, to_markdown
    from assets.evals.store import write_whole
    from core.statistics import Verdict

    store = result_store()
    found = compare_runs(
        store, store.resolve(baseline), store.resolve(candidate), across_versions=across_versions
    )  # fmt: skip
    if out is not None:
        for name, content in parts_of(found, store).items():
            write_whole(out / name, content.encode())
    if as_json:
        data(to_json(found))
    else:
        line(to_markdown(found).rstrip())
        if out is not None:
            line(f"\nreport: {(out / 'report.html').resolve()}")
    refused = {
        FailOn.NEVER: set(),
        FailOn.WORSE: {Verdict.WORSE},
        FailOn.INCONCLUSIVE: {Verdict.WORSE, Verdict.INCONCLUSIVE},
    }
    if found.verdict in refused[fail_on]:
        raise typer.Exit(1)


@evals.command("report")
@_told
def report(
    name: SetName,
    out: Annotated[Path, typer.Option(help="Where the HTML goes.")] = Path("eval-report.html"),
    as_json: AsJson = False,
) -> None:
    """All runs of a set over time, by subject."""
    from assets.evals.report import plain, set_html
    from assets.evals.store import write_whole
    from assets.evals.summary import trend

    found = trend(result_store(), Path(name).name)
    if not found:
        raise CommandFailed(f"no run of {name!r} yet: penstock eval run {name} --subject search")
    if as_json:
        data([plain(one) for one in found])
        return
    write_whole(out, set_html(Path(name).name, found).encode())
    line(f"{len(found)} runs: {out.resolve()}")


@evals.command("query")
@_told
def query_results(
    sql: Annotated[str, typer.Argument(help="One SELECT over the table `results`.")], as_json: AsJson = False
) -> None:
    """Ask the results in SQL: success, metrics and every version, a row a run, case and repeat."""
    from assets.evals.query import query

    found = query(result_store(), sql)
    if as_json:
        data([dict(zip(found.columns, row, strict=True)) for row in found.rows])
    else:
        table(found.columns, found.rows, empty="no rows")
    if found.more:
        note(f"penstock: only the first {len(found.rows)} rows")


@evals.command("calibrate")
@_told
def calibrate_verdicts(
    comparisons: Annotated[int, typer.Option(min=50, max=100_000, help="Simulated comparisons a line.")] = 1_000,
    seed: Annotated[int, typer.Option(help="For the simulated data.")] = 20_260,
    as_json: AsJson = False,
) -> None:
    """Show with simulated comparisons that verdicts err as rarely as they say. Exit code 1 if they do not."""
    from dataclasses import asdict

    from assets.evals.calibration import calibrate

    found = calibrate(comparisons, seed)
    if as_json:
        data([asdict(one) for one in found])
    else:
        table(
            ["what", "share", "95% interval", "promise", "kept"],
            [[one.name, f"{one.rate:.1%}", f"{one.low:.1%} to {one.high:.1%}", one.promise, "yes" if one.kept else "NO"]
             for one in found],
            empty="",
        )  # fmt: skip
    if not all(one.kept for one in found):
        raise typer.Exit(1)
