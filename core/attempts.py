"""Attempts: the lease that makes work happen once, and everything written under it.

A run claims (task, attempt) and gets a fencing epoch; each of its writes checks that epoch in its
own transaction, so a run that was presumed dead can write nothing more. Source of the idea:
fencing tokens, M. Kleppmann, "How to do distributed locking" (2016).
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.types.json import Jsonb
from pydantic import BaseModel

from core import tasks, tracing
from core.answers import find_answers
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.follow_ups import FollowUp, find_follow_up
from core.health import totals
from core.health.totals import Counts, Total
from core.payload import clean
from core.states import TaskState
from core.tasks import Task
from core.timeline import latest_plan
from core.trace_context import TraceContext
from core.work import Patch, Plan, TaskText, Verdict

RecordT = TypeVar("RecordT", bound=BaseModel)


class LeaseRefused(RuntimeError):
    """The attempt cannot be claimed: it is closed, superseded, or another run holds it."""


class LeaseLost(RuntimeError):
    """Another run holds the attempt now, or the task was closed: stop, and write nothing more."""


@dataclass(frozen=True)
class Lapsed:
    """An attempt whose run went silent, or a queued task that no run has claimed. `launched`: a run was requested."""

    team_id: uuid.UUID
    task_id: uuid.UUID
    attempt: int
    source: str
    claims: int
    launched: bool
    traceparent: str | None = None
    tracestate: str | None = None
    last_traceparent: str | None = None
    """Of the last stage that has claimed it."""
    kind: str | None = None
    """`research` or `service`; None for a change."""


class Attempt:
    """A claimed attempt. Safe for use by the thread that claimed it and by its own renewal thread."""

    def __init__(
        self, database: Database, log: PostgresLog, task: Task, epoch: int, holder: str, seconds: float
    ) -> None:
        self.database = database
        self.log = log
        self.task = task
        self.epoch = epoch
        self.holder = holder
        self._seconds = seconds
        self.counts = Counts()
        """What this run has used since it last stored something; counted with what it stores next."""
        self.resumes: TraceContext | None = None
        """The trace of the run that held the attempt before this one did."""
        self._lost = threading.Event()
        self._spoken_to = True

    @classmethod
    def claim(
        cls,
        database: Database,
        team_id: uuid.UUID,
        task_id: uuid.UUID,
        attempt: int,
        *,
        holder: str,
        seconds: float,
        max_claims: int,
    ) -> "Attempt":
        """Claims an attempt for `seconds` for the run with the id `holder`; a holder with a live lease renews it.

        Raises `LeaseRefused`, and fails the task if the attempt has been claimed `max_claims` times already.
        """
        log = PostgresLog(database)
        refused, trace = None, tracing.current()
        with database.team(team_id) as connection:
            task = tasks.get_task(connection, task_id, lock=True)
            if task.closed or task.state == TaskState.WAITING or task.attempt != attempt:
                raise LeaseRefused(_not_open(task, attempt))
            connection.execute(
                "INSERT INTO attempts (team_id, task_id, attempt) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (team_id, task_id, attempt),
            )
            row = connection.execute(
                "SELECT epoch, holder, claims, lease_until > clock_timestamp(), traceparent FROM attempts "
                "WHERE task_id = %s AND attempt = %s FOR UPDATE",
                (task_id, attempt),
            ).fetchone()
            assert row is not None  # noqa: S101  inserted above, in this transaction
            epoch, current, claims, live, before = row
            if live and current != holder:
                raise LeaseRefused(f"attempt {attempt} of task {task_id} is held by run {current}")
            resumed = current != holder or not live
            if resumed:
                epoch, claims = epoch + 1, claims + 1
            if claims > max_claims:
                last = f"; the last one: {task.reason}" if task.reason else ""
                refused = f"given up after {max_claims} runs ended without a result{last}"
                tasks.close(connection, log, task, TaskState.FAILED, refused)
            else:
                connection.execute(
                    "UPDATE attempts SET epoch = %s, claims = %s, holder = %s, traceparent = %s, "
                    "lease_until = clock_timestamp() + %s * interval '1 second' WHERE task_id = %s AND attempt = %s",
                    (epoch, claims, holder, trace.parent if trace else before, seconds, task_id, attempt),
                )
                if task.state == TaskState.QUEUED:
                    tasks.move(connection, task_id, TaskState.RUNNING)
                elif task.reason:
                    connection.execute("UPDATE tasks SET reason = NULL WHERE id = %s", (task_id,))
        if refused:
            raise LeaseRefused(refused)
        claimed = cls(database, log, task, epoch, holder, seconds)
        claimed.resumes = TraceContext.read(before) if resumed else None
        return claimed

    @property
    def key(self) -> tuple[uuid.UUID, int]:
        return self.task.id, self.task.attempt

    @cached_property
    def follow_up(self) -> FollowUp | None:
        """The pull request that this attempt adds to, or None."""
        with self.database.team(self.task.team_id) as connection:
            return find_follow_up(connection, *self.key)

    @cached_property
    def answers(self) -> str:
        """What people have answered when earlier attempts asked, as part of the task's text; empty without any. The
        same for all runs of an attempt."""
        with self.database.team(self.task.team_id) as connection:
            return find_answers(connection, *self.key)

    @property
    def text(self) -> TaskText:
        """What is asked: the task with what people have answered and, first, what they said about its pull request."""
        body = f"{self.task.body}\n\n{self.answers}".strip() if self.answers else self.task.body
        if self.follow_up is not None:
            body = f"{self.follow_up.request}\n\nThe pull request is about this:\n\n{body}"
        return TaskText(title=self.task.title, body=body)

    @contextmanager
    def fenced(self) -> Iterator[Connection[Any]]:
        """A transaction that commits only while this run still holds the attempt. Raises `LeaseLost`."""
        with self.database.team(self.task.team_id) as connection:
            row = connection.execute(
                "SELECT FROM attempts WHERE task_id = %s AND attempt = %s AND epoch = %s "
                "AND ended_at IS NULL FOR UPDATE",
                (*self.key, self.epoch),
            ).fetchone()
            if row is None:
                self._lost.set()
                raise LeaseLost(f"run {self.holder} no longer holds attempt {self.task.attempt} of task {self.task.id}")
            yield connection

    def renew(self) -> bool:
        """Renews the lease. False, from then on, once another run holds the attempt or the task was closed."""
        with self.database.team(self.task.team_id) as connection:
            row = connection.execute(
                "UPDATE attempts a SET lease_until = clock_timestamp() + %s * interval '1 second' FROM tasks t "
                "WHERE a.task_id = %s AND a.attempt = %s AND a.epoch = %s AND a.ended_at IS NULL "
                "AND t.id = a.task_id AND t.attempt = a.attempt AND t.state = 'running' "
                "RETURNING EXISTS (SELECT FROM answers w WHERE w.task_id = a.task_id AND w.state = 'accepted' "
                "AND w.attempt IS NULL)",
                (self._seconds, *self.key, self.epoch),
            ).fetchone()
        if row is None:
            self._lost.set()
        else:
            self._spoken_to = bool(row[0])
        return row is not None

    @contextmanager
    def renewing(self) -> Iterator["Attempt"]:
        """Renews the lease in a background thread until the block ends."""
        stop = threading.Event()

        def loop() -> None:
            while not stop.wait(min(self._seconds / 3, 1.0)):
                try:
                    if not self.renew():
                        return
                except psycopg.OperationalError:
                    continue  # the lease lapses by itself if the database stays unreachable

        thread = threading.Thread(target=loop, name="lease", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join(timeout=10)

    def should_stop(self) -> bool:
        """Whether the lease is lost or the task was cancelled, as of the last renewal."""
        return self._lost.is_set()

    @property
    def is_spoken_to(self) -> bool:
        """Whether somebody has said something that no attempt has heard, as of the last renewal."""
        return self._spoken_to

    def record(self, kind: str, body: dict[str, Any], elapsed: float = 0.0, digest: str | None = None) -> int:
        """Appends one entry to the trajectory before the next action starts, and returns its number; see
        `core.trajectory`."""
        with self.fenced() as connection:
            row = connection.execute(
                "INSERT INTO trajectory (team_id, task_id, attempt, seq, epoch, kind, body, elapsed, digest) "
                "SELECT %s, %s, %s, coalesce(max(seq), 0) + 1, %s, %s, %s, %s, %s FROM trajectory "
                "WHERE task_id = %s AND attempt = %s RETURNING seq",
                (self.task.team_id, *self.key, self.epoch, kind, Jsonb(_storable(body)), elapsed, digest, *self.key),
            ).fetchone()
        seq = int(row[0]) if row else 0
        tracing.event(f"trajectory {kind}", {"penstock.trajectory.seq": seq})
        return seq

    def output(self, stage: str, kind: type[RecordT]) -> RecordT | None:
        """The output that `stage` stored for this attempt, or None."""
        with self.database.team(self.task.team_id) as connection:
            row = connection.execute(
                "SELECT body FROM stage_outputs WHERE task_id = %s AND attempt = %s AND stage = %s", (*self.key, stage)
            ).fetchone()
        return kind.model_validate(row[0]) if row else None

    def put_output(self, stage: str, body: BaseModel, seconds: float, counts: Counts | None = None) -> None:
        """Stores `body` for the stages that follow, and counts what was used for it. A repeat replaces it."""
        with self.fenced() as connection:
            row = connection.execute(
                "INSERT INTO stage_outputs (team_id, task_id, attempt, stage, epoch, body, seconds) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (task_id, attempt, stage) DO UPDATE "
                "SET epoch = excluded.epoch, body = excluded.body, seconds = excluded.seconds, at = clock_timestamp() "
                "RETURNING xmax = 0",
                (
                    self.task.team_id,
                    *self.key,
                    stage,
                    self.epoch,
                    Jsonb(_storable(body.model_dump(mode="json"))),
                    seconds,
                ),
            ).fetchone()
            first = row is not None and bool(row[0])
            totals.add(connection, self.task.team_id, self.counts.take().plus(counts if first else None))

    def save_plan(self, plan: Plan) -> None:
        """Stores a revision of the plan. A resumed run plans again: a revision that differs replaces the old one."""
        with self.fenced() as connection:
            connection.execute(
                "INSERT INTO plan_revisions (team_id, task_id, attempt, revision, reason, body) "
                "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (task_id, attempt, revision) DO UPDATE "
                "SET reason = excluded.reason, body = excluded.body, at = clock_timestamp() "
                "WHERE plan_revisions.body <> excluded.body",
                (self.task.team_id, *self.key, plan.revision, plan.reason, Jsonb(plan.model_dump(mode="json"))),
            )

    def latest_plan(self) -> Plan | None:
        with self.database.team(self.task.team_id) as connection:
            return latest_plan(connection, *self.key)

    def save_verdict(self, connection: Connection[Any], verdict: Verdict, patch: Patch | None) -> None:
        """Stores patch and verdict inside a `fenced` transaction. The first verdict of an attempt is final."""
        team = self.task.team_id
        if patch is not None:
            connection.execute(
                "INSERT INTO patches (team_id, sha256, base_commit, diff) VALUES (%s, %s, %s, %s) "
                "ON CONFLICT DO NOTHING",
                (team, patch.sha256, patch.base_commit, patch.diff),
            )
        connection.execute(
            "INSERT INTO verdicts (team_id, task_id, attempt, verdict, patch_sha256, body) "
            "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (task_id, attempt) DO NOTHING",
            (team, *self.key, verdict.verdict, verdict.patch_sha256, Jsonb(verdict.model_dump(mode="json"))),
        )

    def close(self, connection: Connection[Any], state: TaskState, reason: str, data: dict[str, Any]) -> None:
        """Ends the attempt inside a `fenced` transaction, with its outcome event."""
        tasks.close(connection, self.log, self.task, state, reason, data, self.counts.take())

    def fail(self, reason: str) -> None:
        """Ends the task as failed, unless another run holds the attempt by now."""
        try:
            with self.fenced() as connection:
                self.close(connection, TaskState.FAILED, reason, {})
        except LeaseLost:
            return

    def give_back(self, delay_seconds: float = 0.0, reason: str | None = None, *, counted: bool = True) -> None:
        """Lets the reconciler relaunch the attempt after `delay_seconds` instead of when the lease ends. `reason` is
        shown with the task until then. A run that is not `counted` had not begun to work."""
        with self.database.team(self.task.team_id) as connection:
            connection.execute(
                "UPDATE tasks SET reason = %s WHERE id = %s AND state = 'running'", (reason, self.task.id)
            )
            connection.execute(
                "UPDATE attempts SET holder = NULL, lease_until = clock_timestamp() + %s * interval '1 second', "
                "claims = greatest(0, claims - %s) "
                "WHERE task_id = %s AND attempt = %s AND epoch = %s AND ended_at IS NULL",
                (delay_seconds, 0 if counted else 1, *self.key, self.epoch),
            )
            why = "infrastructure" if counted else "not begun"
            self.counts.note(Total.RELAUNCHES, why)
            totals.add(connection, self.task.team_id, self.counts.take())


def _not_open(task: Task, attempt: int) -> str:
    """Why nothing works on an attempt at a task, and what would."""
    if task.attempt != attempt:
        return f"task {task.id} is at attempt {task.attempt} now, and this was for attempt {attempt}"
    if task.state == TaskState.RESOLVED:
        return f"task {task.id} is resolved already, by attempt {attempt}"
    if task.state == TaskState.WAITING:
        return f"task {task.id} waits for an answer: `penstock task answer {task.id} TEXT`"
    again = f"`penstock task retry {task.id}` starts the next one"
    return f"attempt {attempt} at task {task.id} has ended, {task.state}: {again}"


def lapsed(database: Database, *, unclaimed_seconds: float, limit: int) -> list[Lapsed]:
    """Attempts whose lease has lapsed, and open tasks that no run has claimed for `unclaimed_seconds`, oldest first.
    Tasks that wait for their turn (`core.task_queue`) are not among them."""
    with database.system() as connection:
        rows = connection.execute(
            "SELECT t.team_id, t.id, t.attempt, t.source, coalesce(a.claims, 0), "
            "t.state = 'running' OR t.launched_attempt = t.attempt, t.traceparent, t.tracestate, a.traceparent, "
            "t.options ->> 'kind' "
            "FROM tasks t LEFT JOIN attempts a ON a.task_id = t.id AND a.attempt = t.attempt "
            "WHERE t.state IN ('queued', 'running') "
            "AND NOT (t.state = 'queued' AND t.due_attempt = t.attempt AND t.launched_attempt < t.attempt) "
            "AND CASE WHEN a.lease_until IS NULL "
            "THEN t.updated_at < clock_timestamp() - %s * interval '1 second' "
            "ELSE a.lease_until < clock_timestamp() END ORDER BY t.created_at LIMIT %s",
            (unclaimed_seconds, limit),
        ).fetchall()
    return [Lapsed(*row) for row in rows]


def holders(database: Database, limit: int) -> list[str]:
    """The runs that hold a lease now, at most `limit` of them."""
    with database.system() as connection:
        rows = connection.execute(
            "SELECT DISTINCT holder FROM attempts WHERE ended_at IS NULL AND lease_until > clock_timestamp() LIMIT %s",
            (limit,),
        ).fetchall()
    return [str(row[0]) for row in rows]


def free_holder(database: Database, holder: str) -> int:
    """Ends every lease of a run that has ended, and returns how many there were."""
    with database.system() as connection:
        return connection.execute(
            "UPDATE attempts SET lease_until = clock_timestamp() WHERE holder = %s AND ended_at IS NULL "
            "AND lease_until > clock_timestamp()",
            (holder,),
        ).rowcount


def _storable(value: Any) -> Any:
    """`value` without the characters that jsonb refuses, which output of programs, tests and models may hold."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list | tuple) else value
