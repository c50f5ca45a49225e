"""The states of deliveries, tasks, publications, embedding models, migrations and more, and every legal move between
them.

`TRANSITIONS` is the single table: schema set-up copies it into Postgres, where a trigger refuses any
other move, whichever process makes it.
"""

from enum import StrEnum


class DeliveryState(StrEnum):
    """The outcome of one incoming delivery. Repeats of a delivery are counted on the first one."""

    TASK = "task"
    CHANGE = "change"
    IGNORED = "ignored"
    DUPLICATE = "duplicate"
    """A delivery of another webhook reported the same event of an issue before, and started its task."""
    DEAD_LETTERED = "dead-lettered"


class TaskState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    """Its attempt has ended with a question. No run works on it, and it holds no lease."""
    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PublicationState(StrEnum):
    PENDING = "pending"
    HELD = "held"
    """Waits for a person's approval."""
    PUBLISHED = "published"
    REFUSED = "refused"
    DEAD_LETTERED = "dead-lettered"


class CommandState(StrEnum):
    """A command from a ticket's comment."""

    PENDING = "pending"
    DONE = "done"
    IGNORED = "ignored"
    """Its author may not give commands."""
    DEAD_LETTERED = "dead-lettered"


class FeedbackState(StrEnum):
    """A remark of a review of one of Penstock's pull requests."""

    PENDING = "pending"
    TAKEN = "taken"
    """An attempt works on it."""
    DECIDED = "decided"
    """What to answer is stored; the answer is not written yet."""
    ANSWERED = "answered"
    IGNORED = "ignored"
    """Its author may not start work, or the pull request is closed."""
    DEAD_LETTERED = "dead-lettered"


class AnswerState(StrEnum):
    """What somebody has said while a task waits for an answer."""

    PENDING = "pending"
    """A comment whose author has not been asked about yet."""
    ACCEPTED = "accepted"
    """It belongs to the task's text: of its `attempt`, or of the next one while it has none."""
    IGNORED = "ignored"
    """Its author may not start work, or the task waits no more."""
    DEAD_LETTERED = "dead-lettered"


class WatchState(StrEnum):
    """A head of a watched branch whose checks have failed."""

    PENDING = "pending"
    STARTED = "started"
    """It has started a task."""
    IGNORED = "ignored"
    """The forge was asked, and nothing is to be done."""
    SUPERSEDED = "superseded"
    """Another commit came after it before all of its checks had ended."""
    DEAD_LETTERED = "dead-lettered"


class ModelState(StrEnum):
    """What an embedding model is used for."""

    REGISTERED = "registered"
    """Known; not used."""
    BUILDING = "building"
    """New content gets its vectors; queries do not use it. A model is in this state before the cut over to it, and
    after a cut over to another for as long as that can be rolled back."""
    SERVING = "serving"
    """New content gets its vectors; searches query it."""
    DRAINING = "draining"
    """Searches query it only for content that no serving model covers."""
    RETIRED = "retired"
    """Its vectors are deleted."""


class MigrationState(StrEnum):
    """How far the migration from one embedding model to another has come."""

    PLANNED = "planned"
    BUILDING = "building"
    """A backfill gives existing content the new model's vectors."""
    SHADOWING = "shadowing"
    """Queries run on both models."""
    JUDGED = "judged"
    """The gate has given its verdict; the cut over is pending."""
    OBSERVING = "observing"
    """Queries use the new model; the old one is kept up to date, for a rollback."""
    DRAINING = "draining"
    """The old model gets no more vectors and is about to be retired."""
    DONE = "done"
    CANCELLED = "cancelled"
    ROLLED_BACK = "rolled-back"


INITIAL = ""
"""The state before creation, in a transition."""

CLOSED_MIGRATION_STATES = frozenset({MigrationState.DONE, MigrationState.CANCELLED, MigrationState.ROLLED_BACK})
UNSTARTED_WATCH_STATES = frozenset({WatchState.IGNORED, WatchState.SUPERSEDED, WatchState.DEAD_LETTERED})
OPEN_TASK_STATES = frozenset({TaskState.QUEUED, TaskState.RUNNING, TaskState.WAITING})
CLOSED_TASK_STATES = frozenset(TaskState) - OPEN_TASK_STATES

TRANSITIONS: dict[str, frozenset[tuple[str, str]]] = {
    "delivery": frozenset((INITIAL, state) for state in DeliveryState)
    | {(DeliveryState.DEAD_LETTERED, DeliveryState.TASK), (DeliveryState.DEAD_LETTERED, DeliveryState.CHANGE)}
    # Sent again after its source was added: services repeat a delivery under its first id.
    | {(DeliveryState.IGNORED, state) for state in (DeliveryState.TASK, DeliveryState.CHANGE, DeliveryState.DUPLICATE)},
    "task": frozenset(
        {
            (INITIAL, TaskState.QUEUED),
            (TaskState.QUEUED, TaskState.RUNNING),
            (TaskState.QUEUED, TaskState.FAILED),
            (TaskState.RUNNING, TaskState.WAITING),
            # An answer changes the text that context and plan are made from, and the attempt that asked has stored its
            # outputs and its verdict. So the task goes on with its next attempt, by the queue like any other, with a
            # lease and a number of claims of its own, and never back to running.
            (TaskState.WAITING, TaskState.QUEUED),
            # Nobody answered in time.
            (TaskState.WAITING, TaskState.UNRESOLVED),
            (TaskState.RUNNING, TaskState.RESOLVED),
            (TaskState.RUNNING, TaskState.UNRESOLVED),
            (TaskState.RUNNING, TaskState.FAILED),
            # Only a person reopens a closed task, as its next attempt: with a retry or, of a resolved one, by what
            # is said about its pull request.
            (TaskState.RESOLVED, TaskState.QUEUED),
            (TaskState.UNRESOLVED, TaskState.QUEUED),
            (TaskState.FAILED, TaskState.QUEUED),
            (TaskState.CANCELLED, TaskState.QUEUED),
        }
        | {(state, TaskState.CANCELLED) for state in OPEN_TASK_STATES}
    ),
    "publication": frozenset(
        {
            (INITIAL, PublicationState.PENDING),
            (PublicationState.PENDING, PublicationState.PUBLISHED),
            (PublicationState.PENDING, PublicationState.REFUSED),
            (PublicationState.PENDING, PublicationState.DEAD_LETTERED),
            (PublicationState.DEAD_LETTERED, PublicationState.PENDING),
            (PublicationState.PENDING, PublicationState.HELD),
            (PublicationState.HELD, PublicationState.PENDING),
            (PublicationState.HELD, PublicationState.REFUSED),
        }
    ),
    "command": frozenset(
        {
            (INITIAL, CommandState.PENDING),
            (CommandState.PENDING, CommandState.DONE),
            (CommandState.PENDING, CommandState.IGNORED),
            (CommandState.PENDING, CommandState.DEAD_LETTERED),
        }
    ),
    "feedback": frozenset(
        {
            (INITIAL, FeedbackState.PENDING),
            (FeedbackState.PENDING, FeedbackState.TAKEN),
            (FeedbackState.PENDING, FeedbackState.DECIDED),
            (FeedbackState.PENDING, FeedbackState.IGNORED),
            (FeedbackState.PENDING, FeedbackState.DEAD_LETTERED),
            (FeedbackState.TAKEN, FeedbackState.DECIDED),
            (FeedbackState.DECIDED, FeedbackState.ANSWERED),
            (FeedbackState.DECIDED, FeedbackState.DEAD_LETTERED),
        }
    ),
    "answer": frozenset(
        {
            (INITIAL, AnswerState.PENDING),
            # By somebody with a token of Penstock's, or at the command line.
            (INITIAL, AnswerState.ACCEPTED),
            (AnswerState.PENDING, AnswerState.ACCEPTED),
            (AnswerState.PENDING, AnswerState.IGNORED),
            (AnswerState.PENDING, AnswerState.DEAD_LETTERED),
        }
    ),
    "watched checks": frozenset(
        {(INITIAL, WatchState.PENDING), (WatchState.PENDING, WatchState.STARTED)}
        # Further reports of a head that has started nothing have it looked at again.
        | {(WatchState.PENDING, state) for state in UNSTARTED_WATCH_STATES}
        | {(state, WatchState.PENDING) for state in UNSTARTED_WATCH_STATES}
    ),
    "model": frozenset(
        {
            (INITIAL, ModelState.REGISTERED),
            (ModelState.REGISTERED, ModelState.BUILDING),
            (ModelState.REGISTERED, ModelState.SERVING),
            (ModelState.REGISTERED, ModelState.RETIRED),
            (ModelState.BUILDING, ModelState.SERVING),
            (ModelState.BUILDING, ModelState.REGISTERED),
            (ModelState.BUILDING, ModelState.DRAINING),
            (ModelState.BUILDING, ModelState.RETIRED),
            (ModelState.SERVING, ModelState.DRAINING),
            # Cut over to another, or rolled back.
            (ModelState.SERVING, ModelState.BUILDING),
            (ModelState.DRAINING, ModelState.SERVING),
            (ModelState.DRAINING, ModelState.RETIRED),
            # Registered again, with an empty table.
            (ModelState.RETIRED, ModelState.REGISTERED),
        }
    ),
    "migration": frozenset(
        {
            (INITIAL, MigrationState.PLANNED),
            (MigrationState.PLANNED, MigrationState.BUILDING),
            (MigrationState.BUILDING, MigrationState.SHADOWING),
            (MigrationState.SHADOWING, MigrationState.JUDGED),
            # Judged again, with more queries.
            (MigrationState.JUDGED, MigrationState.SHADOWING),
            (MigrationState.JUDGED, MigrationState.OBSERVING),
            (MigrationState.OBSERVING, MigrationState.DRAINING),
            (MigrationState.OBSERVING, MigrationState.ROLLED_BACK),
            (MigrationState.DRAINING, MigrationState.ROLLED_BACK),
            (MigrationState.DRAINING, MigrationState.DONE),
        }
        | {
            (state, MigrationState.CANCELLED)
            for state in (
                MigrationState.PLANNED,
                MigrationState.BUILDING,
                MigrationState.SHADOWING,
                MigrationState.JUDGED,
            )
        }
    ),
}


def is_legal(entity: str, before: str, after: str) -> bool:
    """Whether `entity` (a key of `TRANSITIONS`) may move from `before` to `after`."""
    return (before, after) in TRANSITIONS[entity]
