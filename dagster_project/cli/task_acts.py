"""`penstock task approve`, `answer`, `cancel` and `retry`: what a person does to a task, on record in the audit log."""

from typing import Annotated

import typer

from dagster_project.cli.access import TeamName, access_errors, command_user, team_of
from dagster_project.cli.output import line
from dagster_project.cli.task import TaskId, find_task, opened
from dagster_project.cli.task import tasks as tasks


@tasks.command()
def approve(task: TaskId, team: TeamName = None) -> None:
    """Publish a patch that waits for approval."""
    from core.access.audit import audited
    from core.access.errors import Conflict
    from core.approvals import approve as approve_held
    from core.tasks import IllegalMove

    with opened() as database, access_errors():
        here, me = team_of(database, team), command_user()
        identity = find_task(database, here, task)
        with audited(database, here, me, "task.approve", identity) as connection:
            try:
                approve_held(connection, identity, str(me))
            except IllegalMove as refused:
                raise Conflict(f"{refused}: see `penstock task show {identity}`") from None
    line(f"approved {identity}: it is published within seconds while the platform is up")


@tasks.command()
def answer(
    task: TaskId,
    text: Annotated[
        str, typer.Argument(help="The answer, which becomes part of the task's text; `-`: standard input.")
    ],
    team: TeamName = None,
) -> None:
    """Answer the question that a task waits for, or tell the attempt that runs something: it hears that between two of
    its steps. What comes too late for that is part of the next attempt's text."""
    import sys

    from core.access.audit import audited
    from core.answers import ANSWER_CHARACTERS
    from core.eventlog.postgres import PostgresLog
    from core.questions import answer as answer_question

    said = sys.stdin.read(ANSWER_CHARACTERS + 1) if text == "-" else text
    with opened() as database:
        here, me = team_of(database, team), command_user()
        identity = find_task(database, here, task)
        with audited(database, here, me, "task.answer", identity) as connection:
            now = answer_question(connection, PostgresLog(database), identity, str(me), said)
    heard = f"attempt {now.attempt} hears it after its present step"
    line(f"answered {identity}: {heard if now.state == 'running' else f'it is {now.state} at attempt {now.attempt}'}")


@tasks.command()
def cancel(task: TaskId, team: TeamName = None) -> None:
    """Cancel an open task."""
    from core.access.audit import audited
    from core.eventlog.postgres import PostgresLog
    from core.tasks import cancel as cancel_task

    with opened() as database:
        here = team_of(database, team)
        identity = find_task(database, here, task)
        with audited(database, here, command_user(), "task.cancel", identity) as connection:
            cancel_task(connection, PostgresLog(database), identity, "cancelled by command")
    line(f"cancelled {identity}")


@tasks.command()
def retry(task: TaskId, team: TeamName = None) -> None:
    """Start the next attempt at an unresolved, failed or cancelled task, or one that waits for an answer."""
    from core.access.audit import audited
    from core.eventlog.postgres import PostgresLog
    from core.tasks import retry as retry_task

    with opened() as database:
        here = team_of(database, team)
        identity = find_task(database, here, task)
        with audited(database, here, command_user(), "task.retry", identity) as connection:
            again = retry_task(connection, PostgresLog(database), identity)
    line(f"queued attempt {again.attempt} of {identity}")
