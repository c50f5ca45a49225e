"""Questions and their steps as rows that workers lease: each step is done once, also when workers are killed.

A step that is done stores its output, announces it on `penstock.research` and queues what follows, in one transaction
that checks the fencing epoch of its lease. The last analysis of a question queues its synthesis.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from pydantic import BaseModel

from assets.research.records import SubQuestion
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import RESEARCH, Event
from core.tasks import Task

NAMESPACE = uuid.UUID("0c0d8a1e-8d0f-5b7e-9b0d-3a7f3d1f5c42")


class StepKind(StrEnum):
    SEARCH = "search"
    ANALYSIS = "analysis"
    SYNTHESIS = "synthesis"


ANNOUNCED = {
    StepKind.SEARCH: "penstock.research.SearchCompleted",
    StepKind.ANALYSIS: "penstock.research.AnalysisCompleted",
    StepKind.SYNTHESIS: "penstock.research.ReportReady",
}
ASKED = "penstock.research.SubQuestionAsked"


class StepLost(RuntimeError):
    """Another worker has the step by now, or its question was cancelled: write nothing more."""


@dataclass(frozen=True)
class Question:
    team_id: uuid.UUID
    id: uuid.UUID
    task_id: uuid.UUID
    attempt: int
    collection: str
    question: str
    engine: str
    corpora: list[str]
    notes: list[str]
    state: str
    deadline: datetime


_QUESTION = "team_id, id, task_id, attempt, collection, question, engine, corpora, notes, state, deadline"


@dataclass(frozen=True)
class Step:
    """A leased step."""

    team_id: uuid.UUID
    question_id: uuid.UUID
    kind: StepKind
    number: int
    epoch: int
    body: dict[str, Any]


def question_id(task_id: uuid.UUID, attempt: int) -> uuid.UUID:
    """The same whenever it is asked for."""
    return uuid.uuid5(NAMESPACE, f"{task_id}/{attempt}")


def ask(
    connection: Connection[Any],
    task: Task,
    question: str,
    *,
    engine: str,
    corpora: Sequence[str],
    seconds: float,
    notes: Sequence[str] = (),
) -> uuid.UUID:
    """Stores the question of a task's attempt. A repeat changes nothing."""
    identity = question_id(task.id, task.attempt)
    connection.execute(
        "INSERT INTO research_questions (team_id, id, task_id, attempt, collection, question, engine, corpora, notes, "
        "deadline) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp() + %s * interval '1 second') "
        "ON CONFLICT DO NOTHING",
        (
            *(task.team_id, identity, task.id, task.attempt, task.source, question, engine),
            *(Jsonb(list(corpora)), Jsonb(list(notes)), seconds),
        ),
    )
    return identity


def queue_searches(connection: Connection[Any], log: PostgresLog, one: Question, subs: Sequence[SubQuestion]) -> None:
    """Queues a step for each sub-question, and announces it. A repeat changes nothing."""
    for sub in subs:
        _queue(connection, one, StepKind.SEARCH, sub.number, {"sub": sub.model_dump(mode="json")})
    log.append_in(connection, RESEARCH, [_event(one, ASKED, sub.number, {"text": sub.text}) for sub in subs])


def find_question(connection: Connection[Any], identity: uuid.UUID, *, lock: bool = False) -> Question:
    """Raises `LookupError`."""
    query = f"SELECT {_QUESTION} FROM research_questions WHERE id = %s{' FOR UPDATE' if lock else ''}"  # noqa: S608
    with connection.cursor(row_factory=class_row(Question)) as cursor:
        found = cursor.execute(query.encode(), (identity,)).fetchone()
    if found is None:
        raise LookupError(f"no question {identity} is stored")
    return found


_TAKE = """
WITH next AS (
    SELECT s.question_id, s.kind, s.number FROM research_steps s JOIN research_questions q ON q.id = s.question_id
    WHERE s.state = 'queued' AND q.state = 'open' AND (s.lease_until IS NULL OR s.lease_until < clock_timestamp())
        AND (%(question)s::uuid IS NULL OR q.id = %(question)s) AND s.kind = ANY(%(kinds)s)
        AND EXISTS (SELECT FROM tasks t WHERE t.id = q.task_id AND t.attempt = q.attempt
                    AND t.state IN ('queued', 'running'))
    -- Questions take turns: of two, the one with fewer steps under way goes first, then the older one.
    ORDER BY (SELECT count(*) FROM research_steps r WHERE r.question_id = s.question_id AND r.state = 'queued'
              AND r.lease_until > clock_timestamp()), q.created_at, s.kind = 'search', s.number
    LIMIT 1 FOR UPDATE OF s SKIP LOCKED
)
UPDATE research_steps s SET epoch = s.epoch + 1, holder = %(holder)s,
    lease_until = clock_timestamp() + %(seconds)s * interval '1 second'
FROM next n WHERE (s.question_id, s.kind, s.number) = (n.question_id, n.kind, n.number)
RETURNING s.team_id, s.question_id, s.kind, s.number, s.epoch, s.body
"""


def take(
    database: Database,
    *,
    holder: str,
    seconds: float,
    question: uuid.UUID | None = None,
    kinds: Sequence[StepKind] = tuple(StepKind),
) -> Step | None:
    """Leases the step whose turn it is, of one question or of all teams' questions; None if none waits."""
    with database.system() as connection:
        row = connection.execute(
            _TAKE.encode(),
            {"holder": holder, "seconds": seconds, "question": question, "kinds": [str(k) for k in kinds]},
        ).fetchone()
    return None if row is None else Step(row[0], row[1], StepKind(row[2]), row[3], row[4], row[5])


def renew(database: Database, step: Step, seconds: float) -> bool:
    """Renews the lease of a step. False if another worker has it, or it is done."""
    with database.team(step.team_id) as connection:
        return bool(
            connection.execute(
                "UPDATE research_steps SET lease_until = clock_timestamp() + %s * interval '1 second' "
                "WHERE question_id = %s AND kind = %s AND number = %s AND epoch = %s AND state = 'queued'",
                (seconds, step.question_id, str(step.kind), step.number, step.epoch),
            ).rowcount
        )


def steps_left(database: Database, team_id: uuid.UUID, question: uuid.UUID, kinds: Sequence[StepKind]) -> int:
    """How many steps of these kinds are not done yet."""
    with database.team(team_id) as connection:
        row = connection.execute(
            "SELECT count(*) FROM research_steps WHERE question_id = %s AND state = 'queued' AND kind = ANY(%s)",
            (question, [str(kind) for kind in kinds]),
        ).fetchone()
    return int(row[0]) if row else 0


def finish(
    connection: Connection[Any], log: PostgresLog, step: Step, output: BaseModel, seconds: float
) -> tuple[Question, bool]:
    """Stores a step's output in a transaction of its team, announces it, and queues what follows. Returns the question,
    and whether this was the last analysis. Raises `StepLost`."""
    one = find_question(connection, step.question_id, lock=True)
    done = connection.execute(
        "UPDATE research_steps SET state = 'done', output = %s, seconds = %s, lease_until = NULL "
        "WHERE question_id = %s AND kind = %s AND number = %s AND epoch = %s AND state = 'queued'",
        (Jsonb(output.model_dump(mode="json")), seconds, step.question_id, str(step.kind), step.number, step.epoch),
    ).rowcount
    if not done or one.state != "open":
        raise StepLost(f"step {step.kind} {step.number} of question {step.question_id} is another worker's by now")
    log.append_in(connection, RESEARCH, [_event(one, ANNOUNCED[step.kind], step.number, {"worker": step.epoch})])
    last = False
    if step.kind is StepKind.SEARCH:
        _queue(connection, one, StepKind.ANALYSIS, step.number, step.body)
    elif step.kind is StepKind.ANALYSIS:
        row = connection.execute(
            "SELECT count(*) FROM research_steps WHERE question_id = %s AND kind <> 'synthesis' AND state = 'queued'",
            (one.id,),
        ).fetchone()
        last = row is not None and row[0] == 0
        if last:
            _queue(connection, one, StepKind.SYNTHESIS, 0, {})
    else:
        connection.execute("UPDATE research_questions SET state = 'reported' WHERE id = %s", (one.id,))
    return one, last


def outputs(connection: Connection[Any], question: uuid.UUID, kind: StepKind) -> list[dict[str, Any]]:
    """The outputs of a question's steps of a kind, in the order of its sub-questions."""
    rows = connection.execute(
        "SELECT output FROM research_steps WHERE question_id = %s AND kind = %s AND state = 'done' ORDER BY number",
        (question, str(kind)),
    ).fetchall()
    return [row[0] for row in rows]


def _queue(connection: Connection[Any], one: Question, kind: StepKind, number: int, body: dict[str, Any]) -> None:
    connection.execute(
        "INSERT INTO research_steps (team_id, question_id, kind, number, body) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (one.team_id, one.id, str(kind), number, Jsonb(body)),
    )


def _event(one: Question, kind: str, number: int, data: dict[str, Any]) -> Event:
    return Event(
        id=f"penstock:research:{one.id}:{kind.rpartition('.')[2]}:{number}",
        source="/penstock/research",
        type=kind,
        subject=one.collection,
        teamid=one.team_id,
        data={"question": str(one.id), "task": str(one.task_id), "attempt": one.attempt, "number": number, **data},
    )
