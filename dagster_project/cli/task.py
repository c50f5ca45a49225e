"""`penstock task`: list, show, timeline, merged and watch. What a person does to a task is in `task_acts.py`."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.states import TaskState
from dagster_project.cli.access import TeamName, team_of
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table

if TYPE_CHECKING:
    from core.database import Database
    from core.endings import Ending

tasks = typer.Typer(
    name="task", help="List, show, watch, answer, approve, cancel and retry tasks.", no_args_is_help=True
)

MOST_LINES = 40
"""Lines of an answer that `task show` shows."""

TaskId = Annotated[str, typer.Argument(help="The task's id or its first characters.", metavar="ID")]


@contextmanager
def opened() -> Iterator["Database"]:
    """Opens the platform's database for one command."""
    from core.database import Database
    from core.settings import load_settings
    from dagster_project.runtime import open_runtime

    with open_runtime(load_settings()) as runtime:
        database = Database(runtime.database_url, max_size=2)
        try:
            yield database
        finally:
            database.close()


def find_task(database: "Database", team: uuid.UUID, text: str) -> uuid.UUID:
    """The id of a team's task, given whole or by its first characters. Raises `CommandFailed` if no task or several
    match, and `typer.BadParameter` for text that cannot be an id."""
    try:
        return uuid.UUID(text)
    except ValueError:
        if not text or set(text.lower()) - set("0123456789abcdef-"):
            raise typer.BadParameter(f"{text!r} is not a task id", param_hint="ID") from None
    with database.team(team) as connection:
        rows = connection.execute(
            "SELECT id FROM tasks WHERE starts_with(id::text, %s) LIMIT 2", (text.lower(),)
        ).fetchall()
    if len(rows) != 1:
        raise CommandFailed(
            f"{'no task' if not rows else 'more than one task'} begins with {text}; see `penstock task list`"
        )
    return uuid.UUID(str(rows[0][0]))


@tasks.command("list")
def list_(
    state: Annotated[TaskState | None, typer.Option(help="Only tasks in this state.")] = None,
    source: Annotated[str | None, typer.Option(help="Only tasks of this source.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Maximum number of tasks.")] = 20,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first."""
    from core.endings import read_endings
    from core.tasks import list_tasks

    with opened() as database, database.team(team_of(database, team)) as connection:
        found = list_tasks(connection, state=state, source=source, limit=limit)
        endings = read_endings(connection, [task.id for task in found])
    if as_json:
        data([{**_brief(task), **_told(endings.get(task.id))} for task in found])
        return
    table(
        ["id", "state", "result", "attempt", "source", "created", "title"],
        [
            [t.id, t.state, endings[t.id].word, t.attempt, t.source, f"{t.created_at:%Y-%m-%d %H:%M:%S}", t.title]
            for t in found
        ],
        empty=_nothing(state, source),
        short={"id": 8},
    )
    if any(one.state in (TaskState.QUEUED, TaskState.RUNNING) for one in found):
        warn_if_stopped()
    for waiting in (one for one in found if one.state == TaskState.WAITING):
        line()
        line(f"{waiting.id} asks: {waiting.reason}")
        line(f"Answer with `penstock task answer {waiting.id} TEXT`.")


def warn_if_stopped() -> None:
    """Says so where no platform of this home folder works on tasks; with an external database, another may."""
    from core.settings import load_settings
    from dagster_project.records import read_record

    settings = load_settings()
    record = read_record(settings)
    if settings.database_url is None and (record is None or not record.supervisor.runs()):
        note("the platform is stopped: what is open goes on after `penstock up`")


def _nothing(state: TaskState | None, source: str | None) -> str:
    if state is None and source is None:
        return "No tasks yet. Deliver an event with `penstock send`, or post one to the gateway."
    which = " ".join(filter(None, (state and f"in the state {state}", source and f"of the source {source}")))
    return f"No task {which}. `penstock task list` shows all."


def _brief(task: Any) -> dict[str, Any]:
    names = ("id", "state", "reason", "attempt", "source", "title", "url", "event_id", "created_at", "updated_at")
    return {name: getattr(task, name) for name in names}


def _told(ending: "Ending | None") -> dict[str, str | None]:
    """What became of a task's result, for JSON."""
    if ending is None:
        return {"publication": None, "result": None}
    return {"publication": ending.publication, "result": ending.sentence() or None}


@tasks.command()
def show(task: TaskId, team: TeamName = None, as_json: AsJson = False) -> None:
    """Show one task: its stages, the gate's verdict, its publications and its report."""
    from core.endings import read_ending
    from core.questions import find_question, list_answers
    from core.tasks import details
    from core.timeline import latest_plan

    with opened() as database:
        here = team_of(database, team)
        identity = find_task(database, here, task)
        with database.team(here) as connection:
            found = details(connection, identity)
            ending = read_ending(connection, identity)
            plan = latest_plan(connection, identity, found["task"].attempt)
            asked, said = find_question(connection, found["task"]), list_answers(connection, identity)
            report = connection.execute(
                "SELECT body ->> 'report', attempt FROM publications WHERE task_id = %(task)s UNION ALL "
                "SELECT ending -> 'publication' ->> 'report', attempt FROM questions WHERE task_id = %(task)s "
                "ORDER BY attempt DESC LIMIT 1",
                {"task": identity},
            ).fetchone()
    if as_json:
        brief: dict[str, Any] = {"task": {**_brief(found["task"]), **_told(ending)}}
        brief["plan"] = plan.model_dump(mode="json") if plan else None
        answers = [vars(one) for one in said]
        data({**found, **brief, "question": vars(asked) if asked else None, "answers": answers})
        return
    it = found["task"]
    line(f"task       {it.id}")
    line(f"state      {it.state}" + (f" ({it.reason})" if it.reason and not asked else ""))
    if asked:
        line(f"question   {asked.question}")
        where = asked.location or asked.last_error or f"penstock task answer {it.id} TEXT"
        line(f"           until {asked.until:%Y-%m-%d %H:%M} {asked.until:%Z}: {where}")
    line(f"title      {it.title}")
    line(f"source     {it.source}   attempt {it.attempt}   event {it.event_id}")
    for stage in found["stages"]:
        line(f"stage      {stage['stage']:<14} {stage['seconds']:.2f} s")
    execution: dict[str, Any] = next((stage["body"] for stage in found["stages"] if stage["stage"] == "execution"), {})
    if execution.get("engine"):
        line(f"engine     {execution['engine']}" + (f" ({why})" if (why := execution.get("chosen")) else ""))
    if found["verdict"]:
        line(f"verdict    {found['verdict']['verdict']}")
        for reason in found["verdict"]["body"].get("reasons", ()):
            line(f"           - {' '.join(reason.split())}")
    for publication in found["publications"]:
        where = publication["location"] or publication["last_error"] or ""
        line(f"result     {publication['target']}: {publication['state']} {where}".rstrip())
    for remark in found["remarks"]:
        who = remark["author"] or "failed checks"
        why = (remark["outcome"] or "").partition("\n")[0]
        line(f"remark     {who}: {remark['state']}" + (f" ({why})" if why else "") + f" {remark['url'] or ''}".rstrip())
    for one in said:
        why = one.outcome or "not looked at yet"
        line(f"answer     {one.author}: {one.state} ({why}) {one.url or ''}".rstrip())
        for part in _lines_of(one.body or ""):
            line(f"           {part}".rstrip())
    for number, hypothesis in enumerate(plan.hypotheses if plan else (), 1):
        why = hypothesis.because or (hypothesis.why[0] if hypothesis.why else "")
        line(f"place {number:<4} {hypothesis.state}: {hypothesis.claim}" + (f" ({why})" if why else ""))
    if plan and plan.cause:
        line(f"plan       revision {plan.revision}, because {plan.reason}")
    line(f"actions    {found['actions']}; see them with `penstock task timeline {it.id}`")
    if report and report[0]:
        line()
        if report[1] != it.attempt:
            line(f"The report of attempt {report[1]}:")
            line()
        line(report[0].rstrip())
        if report[1] == it.attempt and ending and (what := ending.sentence()):
            line(f"\n## Publication\n\n{what[0].upper()}{what[1:]}" + ("" if what.endswith("…") else "."))


def _lines_of(text: str) -> list[str]:
    """What somebody wrote, line by line as they wrote it, without the end of something long."""
    parts = text.strip("\n").splitlines()
    more = [f"({len(parts) - MOST_LINES} more lines: --json shows all)"] if len(parts) > MOST_LINES else []
    return [*parts[:MOST_LINES], *more]


@tasks.command()
def timeline(
    task: TaskId,
    attempt: Annotated[int | None, typer.Option(min=1, help="Attempt; the latest one by default.")] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened in an attempt, step by step, with each revision of its plan and what caused it."""
    from dataclasses import asdict

    from core.tasks import get_task
    from core.timeline import read_timeline

    with opened() as database:
        here = team_of(database, team)
        identity = find_task(database, here, task)
        with database.team(here) as connection:
            chosen = attempt or get_task(connection, identity).attempt
            found = read_timeline(connection, identity, chosen)
    if as_json:
        data([asdict(one) for one in found])
        return
    for one in found:
        line(f"{one.at:%H:%M:%S} {one.kind:<12} {one.text}")
        for detail in one.details:
            line(f"{'':21} - {' '.join(detail.split())}")
    if not found:
        line(f"Attempt {chosen} of task {identity} has not begun.")


@tasks.command()
def merged(team: TeamName = None, as_json: AsJson = False) -> None:
    """Show what became of published patches, by source, engine and verdict."""
    from dataclasses import asdict

    from core.health.fate_rates import read_fates

    with opened() as database, database.team(team_of(database, team)) as connection:
        found = read_fates(connection)
    if as_json:
        data([asdict(one) for one in found])
        return
    fates = ("merged unchanged", "merged changed", "reverted", "closed", "open")
    groups = dict.fromkeys((one.source, one.engine, one.verdict) for one in found)
    rows = []
    for group in groups:
        counts = {one.fate: one.patches for one in found if (one.source, one.engine, one.verdict) == group}
        decided = sum(counts.values()) - counts.get("open", 0)
        rate = f"{counts.get('merged unchanged', 0) / decided:.0%}" if decided else "-"
        rows.append([*group, *(counts.get(fate, 0) for fate in fates), rate])
    table(
        ["source", "engine", "verdict", *fates, "unchanged"],
        rows,
        empty="No patch has been published yet.",
    )


PUBLISHING_SECONDS = 60.0
"""How long `watch` waits for the first try to publish what a closed task has made."""


@tasks.command()
def watch(
    task: TaskId,
    timeout: Annotated[float, typer.Option(min=1, help="Timeout in seconds.")] = 3600,
    team: TeamName = None,
) -> None:
    """Follow a task live until its result is published. Exit code 0 if it was resolved, and its patch not refused."""
    from core.endings import read_ending
    from core.settings import load_settings
    from core.tasks import get_task
    from core.timeline import describe, describe_plan, read_plans

    deadline, until = time.monotonic() + timeout, 0.0
    seen, revision, state, attempt = 0, 0, None, 0
    patience = PUBLISHING_SECONDS if load_settings().publishing else 0.0
    with opened() as database:
        here = team_of(database, team)
        identity = find_task(database, here, task)
        while True:
            with database.team(here) as connection:
                now = get_task(connection, identity)
                if now.attempt != attempt:  # its entries are numbered from 1
                    seen, revision, attempt = 0, 0, now.attempt
                entries = connection.execute(
                    "SELECT seq, kind, body, at FROM trajectory WHERE task_id = %s AND attempt = %s AND seq > %s "
                    "ORDER BY seq LIMIT 500",
                    (identity, now.attempt, seen),
                ).fetchall()
                revisions = read_plans(connection, identity, now.attempt, after=revision)
                ending = read_ending(connection, identity)
            if now.state != state and not now.closed:
                state = now.state
                line(f"{now.updated_at:%H:%M:%S} {state}" + (f": {now.reason}" if now.reason else ""))
                if state in (TaskState.QUEUED, TaskState.RUNNING):
                    warn_if_stopped()
                if state == TaskState.WAITING:
                    line(f"         answer with `penstock task answer {identity} TEXT`, or with a comment on the issue")
            told = [(at, f"{kind:<12} {describe(kind, body)}") for _, kind, body, at in entries]
            told += [(at, f"{'plan':<12} {describe_plan(plan)}") for plan, at in revisions]
            seen = max((entry[0] for entry in entries), default=seen)
            revision = max((plan.revision for plan, _ in revisions), default=revision)
            for at, text in sorted(told, key=lambda one: one[0]):
                line(f"{at:%H:%M:%S} {text}")
            if now.state != state and now.closed:
                state = now.state
                line(f"{now.updated_at:%H:%M:%S} {state}" + (f": {now.reason}" if now.reason else ""))
            if now.closed and ending:
                if not ending.settled and time.monotonic() < (until := until or time.monotonic() + patience):
                    time.sleep(0.2)
                    continue
                if what := ending.sentence():
                    line(f"{'':8} {what}")
                raise typer.Exit(0 if state == TaskState.RESOLVED and not ending.unpublished else 1)
            if time.monotonic() > deadline:
                raise CommandFailed(f"task {identity} is still {state} after {timeout:.0f} s")
            time.sleep(0.2)
