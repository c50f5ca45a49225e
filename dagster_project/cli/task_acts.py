"""`penstock task approve`, `answer`, `cancel` and `retry`: what a person does to a task, on record in the audit log."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.access import TeamName, access_errors, command_user, team_of
from dagster_project.cli.output import line
from dagster_project.cli.task import TaskId, find_task, opened
from dagster_project.cli.task import tasks as tasks

if TYPE_CHECKING:
    from psycopg import Connection

    from core.eventlog.postgres import PostgresLog


@dataclass(frozen=True)
class Act:
    """The transaction in which somebody does something to a task."""

    connection: "Connection[Any]"
    log: "PostgresLog"
    task: uuid.UUID
    person: str


@contextmanager
def _acting(task: str, team: str | None, act: str) -> Iterator[Act]:
    """What is done is stored together with its entry in the audit log, or neither is."""
    from core.access.audit import audited
    from core.eventlog.postgres import PostgresLog

    with opened() as database, access_errors():
        here, me = team_of(database, team), command_user()
        identity = find_task(database, here, task)
        with audited(database, here, me, act, identity) as connection:
            yield Act(connection, PostgresLog(database), identity, str(me))


@tasks.command()
def approve(task: TaskId, team: TeamName = None) -> None:
    """Publish a patch that waits for approval."""
    from core.access.errors import Conflict
    from core.approvals import approve as approve_held
    from core.tasks import IllegalMove

    with _acting(task, team, "task.approve") as act:
        try:
            approve_held(act.connection, act.task, act.person)
        except IllegalMove as refused:
            raise Conflict(f"{refused}: see `penstock task show {act.task}`") from None
    line(f"approved {act.task}: it is published within seconds while the platform is up")


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

    from core.answers import ANSWER_CHARACTERS
    from core.questions import answer as answer_question

    said = sys.stdin.read(ANSWER_CHARACTERS + 1) if text == "-" else text
    with _acting(task, team, "task.answer") as act:
        now = answer_question(act.connection, act.log, act.task, act.person, said)
    heard = f"attempt {now.attempt} hears it after its present step"
    line(f"answered {act.task}: {heard if now.state == 'running' else f'it is {now.state} at attempt {now.attempt}'}")


@tasks.command()
def cancel(task: TaskId, team: TeamName = None) -> None:
    """Cancel an open task."""
    from core.tasks import cancel as cancel_task

    with _acting(task, team, "task.cancel") as act:
        cancel_task(act.connection, act.log, act.task, "cancelled by command")
    line(f"cancelled {act.task}")


@tasks.command()
def retry(task: TaskId, team: TeamName = None) -> None:
    """Start the next attempt at an unresolved, failed or cancelled task, or one that waits for an answer."""
    from core.tasks import retry as retry_task

    with _acting(task, team, "task.retry") as act:
        again = retry_task(act.connection, act.log, act.task)
    line(f"queued attempt {again.attempt} of {act.task}")
