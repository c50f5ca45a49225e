"""Binds a Dagster run to its attempt: claims it, renews its lease, and handles errors by kind.

A failed command or an unsolvable task is not an error. If infrastructure is unavailable, the attempt is
given back and relaunched. Any other error ends the task as failed, with its outcome event.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import psycopg_pool
from dagster import AssetExecutionContext, Failure, MetadataValue

from assets.platform import Platform
from core import tracing
from core.attempts import Attempt, LeaseLost, LeaseRefused
from core.chat.protocol import ChatUnavailable
from core.eventlog.protocol import EventLogUnavailable
from core.forge.protocol import ForgeUnavailable
from core.logs import log_fields
from core.states import TaskState
from core.trace_context import TraceContext
from sandbox.protocol import SandboxUnavailable

TASK_TAG = "penstock/task"
ATTEMPT_TAG = "penstock/attempt"
TEAM_TAG = "penstock/team"
TRACE_TAG = "penstock/trace"
"""The `traceparent` of what launched the run."""
TAG_CHARACTERS = 80

INFRASTRUCTURE = (
    psycopg.OperationalError,
    psycopg_pool.PoolTimeout,
    EventLogUnavailable,
    SandboxUnavailable,
    ForgeUnavailable,
    ChatUnavailable,
)
RELAUNCH_SECONDS = 5.0
ASK_AGAIN_SECONDS = 30.0
"""How long a task waits for a forge that cannot be asked who may start work."""


def run_tags(team_id: uuid.UUID, task_id: uuid.UUID, attempt: int, trace: TraceContext | None = None) -> dict[str, str]:
    """The tags that tie a run of `resolve_task` to its attempt, and to its trace."""
    tags = {TASK_TAG: str(task_id), ATTEMPT_TAG: str(attempt), TEAM_TAG: str(team_id)}
    return tags | {TRACE_TAG: trace.parent} if trace else tags


def show_on_run(context: AssetExecutionContext, **tags: str) -> None:
    """Tags the run with what a person looks for in the list of runs: one printable line each."""
    lines = {
        name: " ".join("".join(c if c.isprintable() else " " for c in text).split()) for name, text in tags.items()
    }
    shown = {
        name: line if len(line) <= TAG_CHARACTERS else f"{line[: TAG_CHARACTERS - 1]}…" for name, line in lines.items()
    }
    context.instance.add_run_tags(context.run.run_id, {name: line for name, line in shown.items() if line})


@contextmanager
def open_attempt(context: AssetExecutionContext, platform: Platform, *, first: bool = False) -> Iterator[Attempt]:
    """Claims the attempt that the run's tags name and renews its lease until the block ends. The `first` stage asks
    whether whoever started the task may do so, and cancels the task if not.

    Raises `Failure` when the run has no such tags, the lease is refused, or infrastructure is unavailable.
    """
    tags = context.run.tags
    if TASK_TAG not in tags:
        raise Failure(
            "This asset is materialized for one task at a time, by a run that the task sensor starts. "
            "To run a task again: penstock task retry ID",
            allow_retries=False,
        )
    tracing.rename("penstock-run")
    with (
        told(context, f"stage {context.asset_key.path[-1]}") as current,
        _open(context, platform, first) as attempt,
    ):
        current.set("penstock.claim", attempt.epoch)
        current.link(attempt.resumes)
        if attempt.task.first_traceparent != attempt.task.traceparent:
            current.link(TraceContext.read(attempt.task.first_traceparent))
        yield attempt


@contextmanager
def told(context: AssetExecutionContext, name: str) -> Iterator[tracing.Span]:
    """A span of a run of a task, in the trace of what launched it; what is logged in the block names the task."""
    tags = context.run.tags
    task, attempt = tags[TASK_TAG], tags[ATTEMPT_TAG]
    attributes = {
        "penstock.task": task,
        "penstock.attempt": attempt,
        "penstock.team": tags[TEAM_TAG],
        "dagster.run_id": context.run.run_id,
    }
    parent = TraceContext.read(tags.get(TRACE_TAG))
    with (
        log_fields(task=task, attempt=attempt),
        tracing.span(name, attributes, parent=parent, kind="consumer") as current,
        tracing.adopting(current.context),
    ):
        yield current


@contextmanager
def _open(context: AssetExecutionContext, platform: Platform, first: bool) -> Iterator[Attempt]:
    tags, settings = context.run.tags, platform.settings
    try:
        attempt = Attempt.claim(
            platform.database,
            uuid.UUID(tags[TEAM_TAG]),
            uuid.UUID(tags[TASK_TAG]),
            int(tags[ATTEMPT_TAG]),
            holder=context.run.run_id,
            seconds=settings.lease_seconds,
            max_claims=settings.max_claims,
        )
    except LeaseRefused as refusal:
        raise Failure(f"Nothing to do: {refusal}", allow_retries=False) from refusal
    with attempt.renewing():
        try:
            if first:
                _check_starter(platform, attempt)
            yield attempt
        except (LeaseLost, Failure):
            raise
        except INFRASTRUCTURE as error:
            with suppress(psycopg.OperationalError, psycopg_pool.PoolTimeout):  # the lease then expires
                attempt.give_back(RELAUNCH_SECONDS, f"waits, then tries again: {error}"[:1000])
            raise Failure(
                f"Infrastructure unavailable: {error}. The attempt will be relaunched.",
                metadata={"error": MetadataValue.text(repr(error)[:2000])},
                allow_retries=False,
            ) from error
        except Exception as error:
            attempt.fail(f"{type(error).__name__}: {error}"[:1000])
            raise


def _check_starter(platform: Platform, attempt: Attempt) -> None:
    """Cancels the task if whoever started it may not. Raises `Failure` then, and while the forge gives no answer."""
    try:
        reason = platform.distrust(attempt.task)
    except ForgeUnavailable as error:
        delay = max(ASK_AGAIN_SECONDS, error.pause or 0.0)
        attempt.give_back(delay, f"waits for the forge to say who may start work: {error}"[:1000], counted=False)
        raise Failure(f"{error}. The attempt will be relaunched.", allow_retries=False) from error
    if reason is not None:
        with attempt.fenced() as connection:
            attempt.close(connection, TaskState.CANCELLED, reason, {})
        raise Failure(f"Nothing to do: {reason}", allow_retries=False)
