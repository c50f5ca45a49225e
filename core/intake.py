"""Accepts one delivery: stores its record, its event and its task in one transaction.

The gateway has already verified the delivery and normalised it to an intent. This module looks up whether the intent is
about a configured source, and whether another delivery has reported the same happening.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from core.answers import Said, is_noted, note_answer, only_mentions
from core.backlog import ANY_NUMBER, Backlog, require_room
from core.commands import Command
from core.eventlog.postgres import PostgresLog
from core.events import CHANGES, Event, task_id
from core.follow_ups import BODY_CHARACTERS, Feedback, checks_identity, task_of
from core.happenings import earlier
from core.repository_names import RepositoryId, follow, learn
from core.rules import Signal
from core.states import DeliveryState
from core.tasks import create_task, request_event
from core.tickets import TICKET_CHANGED, TRACKERS, TicketChange
from core.watched_checks import Head, note_failure

CHANGED = "penstock.source.changed"
_COMMANDS = uuid.UUID("0c0f6f3a-2f6c-5d44-8a6e-6a7f4f3f9a55")
"""Namespace of the ids of commands."""


@dataclass(frozen=True)
class Target:
    """Identifies the source that a delivery is about: by its name, by its "owner/name" on its forge (`repository`), or
    by a project that its tickets come from (`project`: service, and name there; one on a forge also sets
    `repository`). `forge_id` finds the source of a repository that was renamed."""

    name: str | None = None
    repository: str | None = None
    project: tuple[str, str] | None = None
    forge_id: RepositoryId | None = None

    def __str__(self) -> str:
        if self.repository is not None:
            return f"repository {self.repository}"
        if self.project is not None:
            return f"project {self.project[1]} of {self.project[0]}"
        return f"source {self.name}"


@dataclass(frozen=True)
class Happening:
    """What happened to an issue, so that it starts one task however many webhooks report it. `at` is the forge's own
    time of it; without one, the same thing happens to an issue only once."""

    service: str
    key: str
    what: str
    at: datetime | None = None

    def __str__(self) -> str:
        moment = f" at {self.at.astimezone(UTC).isoformat()}" if self.at else ""
        return f"{self.what[:300]}{moment}"


@dataclass(frozen=True)
class TaskIntent:
    """A request for work. The texts are cleaned and bounded. `happening` is what an issue's event reports; `starter` is
    the login and id of who caused it, as far as the forge says."""

    target: Target
    title: str
    body: str = ""
    url: str | None = None
    author: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    happening: Happening | None = None
    starter: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True)
class ChangeIntent:
    """A source has changed; `data` says how (`ref`, `before`, `after`, as far as known)."""

    target: Target
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TicketIntent:
    """A ticket has changed; `task` is work on the same source that the change also requests, `commands` are those of a
    new comment, `feedback` is what a review says about a pull request of Penstock's. `reason` says why a change that
    could start a task does not, `signal` is what rules were applied to. `look`: the sender does not say what happened,
    so the next sweep of its project should not wait. `says` is what a
    new comment says beside its commands, for a task that waits for an answer. Unless it is `searchable`, only task,
    commands and answers are kept."""

    target: Target
    change: TicketChange
    task: TaskIntent | None = None
    commands: tuple[Command, ...] = ()
    reason: str | None = None
    feedback: Feedback | None = None
    signal: Signal | None = None
    look: bool = False
    searchable: bool = True
    says: str = ""


@dataclass(frozen=True)
class RenameIntent:
    """A repository was renamed or transferred: `target` has its new name, `former` is the one before."""

    target: Target
    former: str | None = None


@dataclass(frozen=True)
class ChecksIntent:
    """A check of the commit `head` has failed: of one of Penstock's own branches or, by the `rule` that names it, of
    another."""

    target: Target
    service: str
    project: str
    branch: str
    head: str
    rule: str | None = None


@dataclass(frozen=True)
class NoIntent:
    """The delivery starts nothing; `reason` says why."""

    reason: str


Intent = TaskIntent | ChangeIntent | TicketIntent | RenameIntent | ChecksIntent | NoIntent


@dataclass(frozen=True)
class Delivery:
    """`origin` is the kind of sender and `id` its id of the delivery; `kind` names what it reports, for display."""

    origin: str
    id: str
    kind: str
    body_sha256: bytes

    @property
    def event_id(self) -> str:
        return f"{self.origin}:{self.id}"


@dataclass(frozen=True)
class Receipt:
    """The outcome of a delivery; of a repeated one, that of the first. `same_body`: both have the same body."""

    event_id: str
    state: DeliveryState
    task_id: uuid.UUID | None
    reason: str | None
    duplicates: int
    same_body: bool

    @property
    def duplicate(self) -> bool:
        return self.duplicates > 0 or self.state == DeliveryState.DUPLICATE


_STORE = """
INSERT INTO deliveries AS held (team_id, id, kind, state, reason, task_id, body_sha256, ticket, happening)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (team_id, id) DO UPDATE
SET (state, reason, task_id, ticket, happening, received_at, duplicates) = (
    SELECT excluded.state, excluded.reason, excluded.task_id, excluded.ticket, excluded.happening, now(), 0
    WHERE held.state = 'ignored' AND excluded.state <> 'ignored' AND held.body_sha256 = excluded.body_sha256
    UNION ALL
    SELECT held.state, held.reason, held.task_id, held.ticket, held.happening, held.received_at, held.duplicates + 1
    WHERE NOT (held.state = 'ignored' AND excluded.state <> 'ignored' AND held.body_sha256 = excluded.body_sha256)
)
RETURNING state, task_id, reason, duplicates, body_sha256 = %s
"""
"""One that was ignored is replaced by what it is now; its repeats until then are not counted."""


class UnknownSource(LookupError):
    """The intent is about a source that is not configured; the message names it."""


def receive(
    connection: Connection[Any],
    log: PostgresLog,
    team_id: uuid.UUID,
    delivery: Delivery,
    intent: Intent,
    *,
    must_know_source: bool = False,
    backlog: Backlog = ANY_NUMBER,
) -> Receipt:
    """Stores a delivery within the caller's transaction; it is durable once that has committed.

    A repeated delivery is counted on the first and changes nothing else, also when both arrive simultaneously (the
    second waits for the first to commit). A delivery of another webhook about the same happening is recorded as a
    duplicate of the first, with the same task. One that was ignored, and would not be now, is taken when it is
    repeated, as if it had not been sent before: services repeat a delivery under its first id, also after its source
    was added.

    A delivery about a source that is not configured is recorded as ignored or, with `must_know_source`, raises
    `UnknownSource` and records nothing. A delivery that would start a task beyond the `backlog` raises
    `core.backlog.Overloaded`, and the caller's transaction is rolled back.
    """
    decided = _decide(connection, team_id, intent)
    if must_know_source and decided.source is None:
        raise UnknownSource(decided.reason)
    decided = _once(connection, team_id, delivery, intent, decided)
    started = decided.state == DeliveryState.TASK
    row = connection.execute(
        _STORE,
        (
            team_id,
            delivery.event_id,
            delivery.kind,
            decided.state,
            decided.reason,
            task_id(team_id, delivery.event_id) if started else decided.task_id,
            delivery.body_sha256,
            decided.ticket,
            decided.happening,
            delivery.body_sha256,
        ),
    ).fetchone()
    assert row is not None  # noqa: S101  the statement inserts or updates
    receipt = Receipt(delivery.event_id, DeliveryState(row[0]), row[1], row[2], row[3], row[4])
    source = decided.source
    if receipt.duplicate or source is None:
        return receipt
    origin = f"/penstock/{delivery.origin}"
    work = _work_of(intent)
    if started and work is not None:
        require_room(connection, team_id, source, backlog)
        create_task(
            connection,
            log,
            event=request_event(team_id, delivery.event_id, origin, source, title=work.title),
            source=source,
            title=work.title,
            body=work.body or _known_body(connection, team_id, source, intent),
            url=work.url,
            author=work.author,
            options=work.options,
            ticket=_about(intent),
            starter=work.starter,
        )
    if isinstance(intent, TicketIntent):
        _store_commands(connection, team_id, source, intent)
        _store_feedback(connection, team_id, source, intent)
        if (said := _said(intent)) is not None:
            about = receipt.task_id if started else None
            note_answer(connection, team_id, source, _ticket_of(intent), said, about)
        if intent.look:
            connection.execute(
                "UPDATE sweeps SET next_at = least(next_at, now()) WHERE (team_id, service, project) = (%s, %s, %s)",
                (team_id, intent.change.service, intent.change.project),
            )
    if isinstance(intent, ChecksIntent):
        _store_checks(connection, team_id, source, intent)
    kind, data = _change(intent)
    if kind:
        event = Event(
            id=delivery.event_id,
            source=origin,
            type=kind,
            subject=source,
            teamid=team_id,
            data={"source": source, **data},
        )
        log.append_in(connection, CHANGES, [event])
    return receipt


def _known_body(connection: Connection[Any], team_id: uuid.UUID, source: str, intent: Intent) -> str:
    """The text of a ticket as its earlier changes have reported it, for a comment that does not hold it."""
    if not isinstance(intent, TicketIntent) or intent.change.comment is None or intent.change.service not in TRACKERS:
        return ""
    change = intent.change
    row = connection.execute(
        "SELECT p.text FROM ticket_parts p JOIN tickets t USING (team_id, source, service, project, key) "
        "WHERE (team_id, source, service, project, key) = (%s, %s, %s, %s, %s) AND p.part = 'body' AND NOT t.hidden "
        "AND p.deleted_at IS NULL",
        (team_id, source, change.service, change.project, change.key),
    ).fetchone()
    return str(row[0]) if row else ""


def _store_commands(connection: Connection[Any], team_id: uuid.UUID, source: str, intent: TicketIntent) -> None:
    """Stores each command once, whichever webhooks report its comment."""
    change, comment = intent.change, intent.change.comment
    if comment is None or comment.author is None:
        return
    for command in intent.commands:
        connection.execute(
            "INSERT INTO commands (team_id, id, source, ticket_service, ticket_project, ticket_key, comment_url, "
            "author, author_id, command, body) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (id) DO NOTHING",
            (
                team_id,
                _command_id(team_id, source, intent, command),
                source,
                *(change.service, change.project, change.key),
                comment.url,
                comment.author,
                comment.author_id,
                command,
                (comment.body or "")[:BODY_CHARACTERS],
            ),
        )


def _store_feedback(connection: Connection[Any], team_id: uuid.UUID, source: str, intent: TicketIntent) -> None:
    """Stores a remark once, whichever webhooks report it, if a task of this source has published the branch."""
    change, feedback = intent.change, intent.feedback
    task = feedback.task_id if feedback else None
    if feedback is None or task is None:
        return
    identities = _remark_ids(team_id, source, intent, feedback)
    if feedback.also:  # held until the end of the transaction, since these ids are not unique for the database
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"penstock reviews of {task}",))
    connection.execute(
        "INSERT INTO feedback (team_id, id, kind, task_id, source, ticket_service, ticket_project, ticket_key, branch, "
        "remark, thread, path, line, author, author_id, body, url) "
        "SELECT %s, %s, 'remark', t.id, t.source, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s FROM tasks t "
        "WHERE t.id = %s AND t.source = %s AND NOT EXISTS (SELECT FROM feedback f WHERE f.id = ANY(%s)) "
        "ON CONFLICT (id) DO NOTHING",
        (
            team_id,
            identities[0],
            *(change.service, change.project, change.key),
            *(feedback.branch, feedback.remark, feedback.thread, feedback.path, feedback.line),
            *(feedback.author, feedback.author_id, feedback.body[:BODY_CHARACTERS], feedback.url),
            *(task, source, identities),
        ),
    )


def _remark_ids(team_id: uuid.UUID, source: str, intent: TicketIntent, feedback: Feedback) -> list[uuid.UUID]:
    change = intent.change
    return feedback.identities(team_id, f"{source} {change.service} {change.project} {change.key}")


def _store_checks(connection: Connection[Any], team_id: uuid.UUID, source: str, intent: ChecksIntent) -> None:
    """Notes once that checks of a commit fail, if a task of this source has published the branch or a rule names it."""
    if intent.rule is not None:
        note_failure(
            connection,
            team_id,
            Head(source, intent.service, intent.project, intent.branch, intent.head),
            intent.rule,
        )
        return
    connection.execute(
        "INSERT INTO feedback (team_id, id, kind, task_id, source, ticket_service, ticket_project, branch, head, body) "
        "SELECT %s, %s, 'checks', t.id, t.source, %s, %s, %s, %s, '' FROM tasks t WHERE t.id = %s AND t.source = %s "
        "ON CONFLICT (id) DO NOTHING",
        (
            team_id,
            checks_identity(team_id, f"{source} {intent.service} {intent.project}", intent.branch, intent.head),
            *(intent.service, intent.project, intent.branch, intent.head),
            *(task_of(intent.branch), source),
        ),
    )


def _command_id(team_id: uuid.UUID, source: str, intent: TicketIntent, command: Command) -> uuid.UUID:
    change, comment = intent.change, intent.change.comment
    name = f"{team_id} {source} {change.service} {change.project} {change.key} {comment and comment.id} {command}"
    return uuid.uuid5(_COMMANDS, name)


def is_known(connection: Connection[Any], team_id: uuid.UUID, source: str, intent: TicketIntent) -> bool:
    """Whether an earlier delivery has reported the event that would start the intent's task, if there is one, and
    brought all of its commands, its remark and its answer."""
    work = intent.task
    if work is not None and work.happening is not None:
        first = earlier(connection, team_id, _ticket(source, work.target, work.happening), work.happening, None)
        if first is None or not first[2]:
            return False
    if intent.feedback is not None and not _is_heard(connection, team_id, source, intent, intent.feedback):
        return False
    if (said := _said(intent)) is not None and not is_noted(connection, team_id, source, _ticket_of(intent), said):
        return False
    if intent.change.comment is None or intent.change.comment.author is None:
        return True
    wanted = [_command_id(team_id, source, intent, command) for command in intent.commands]
    row = connection.execute("SELECT count(*) FROM commands WHERE id = ANY(%s)", (wanted,)).fetchone()
    return row is not None and row[0] == len(wanted)


def _is_heard(
    connection: Connection[Any], team_id: uuid.UUID, source: str, intent: TicketIntent, feedback: Feedback
) -> bool:
    """Whether a remark is stored; also one that is about no task of this source, which never will be."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM feedback WHERE id = ANY(%s)) "
        "OR NOT EXISTS (SELECT FROM tasks WHERE id = %s AND source = %s)",
        (_remark_ids(team_id, source, intent, feedback), feedback.task_id, source),
    ).fetchone()
    return row is not None and bool(row[0])


def _said(intent: TicketIntent) -> Said | None:
    """What might be an answer or a remark."""
    comment = intent.change.comment
    if not only_mentions(intent.says) and comment is not None and comment.author is not None:
        return Said(comment.id, comment.author, comment.author_id, intent.says, comment.url, comment.created_at)
    return None


def _ticket_of(intent: TicketIntent) -> tuple[str, str, str]:
    return intent.change.service, intent.change.project, intent.change.key


def _about(intent: Intent) -> tuple[str, str, str] | None:
    return _ticket_of(intent) if isinstance(intent, TicketIntent) else None


def _change(intent: Intent) -> tuple[str | None, Mapping[str, Any]]:
    """The type and data of the event for the topic of changes; the type is None if the intent needs none."""
    if isinstance(intent, ChangeIntent):
        return CHANGED, intent.data
    if isinstance(intent, TicketIntent) and intent.searchable:
        signal = intent.signal.model_dump(mode="json", exclude_defaults=True) if intent.signal else None
        return TICKET_CHANGED, {
            "change": intent.change.model_dump(mode="json", exclude_none=True),
            **({"signal": signal} if signal else {}),
        }
    return None, {}


@dataclass(frozen=True)
class _Decision:
    """The state of a delivery and why; `source` is None if it changes nothing. `task_id` is a task that an earlier
    delivery started. `ticket` and `happening` are set if the delivery starts a task for an issue, or would if that
    had none open."""

    source: str | None
    state: DeliveryState
    reason: str | None = None
    task_id: uuid.UUID | None = None
    ticket: str | None = None
    happening: str | None = None


_FIND: tuple[tuple[str, bytes], ...] = (
    ("project", b"SELECT source FROM ticket_projects WHERE (service, project) = (%s, %s)"),
    ("repository", b"SELECT name FROM sources WHERE repository = %s"),
    ("name", b"SELECT name FROM sources WHERE name = %s"),
)
"""How a target's source is found: by the first of these fields that finds one."""


def _find(connection: Connection[Any], target: Target) -> str | None:
    for field_name, query in _FIND:
        key = getattr(target, field_name)
        if key is not None:
            row = connection.execute(query, key if isinstance(key, tuple) else (key,)).fetchone()
            if row is not None:
                return str(row[0])
    return None


def _work_of(intent: Intent) -> TaskIntent | None:
    if isinstance(intent, TicketIntent):
        return intent.task
    return intent if isinstance(intent, TaskIntent) else None


def _decide(connection: Connection[Any], team_id: uuid.UUID, intent: Intent) -> _Decision:
    """The delivery's source and state, or why it starts nothing. The source of a renamed repository follows it."""
    if isinstance(intent, NoIntent):
        return _Decision(None, DeliveryState.IGNORED, intent.reason)
    target, reason = intent.target, None
    renamed = isinstance(intent, RenameIntent)
    source = None if renamed else _find(connection, target)
    if source is None and target.repository is not None and (renamed or target.forge_id is not None):
        former = intent.former if isinstance(intent, RenameIntent) else None
        found = follow(connection, team_id, target.repository, target.forge_id, former)
        source = found.source or _find(connection, target)
        if found.problem:
            return _Decision(None, DeliveryState.IGNORED, _not_followed(target, found.source, found.problem))
        if found.former:
            reason = f"source {source} follows repository {found.former}, which is now called {target.repository}"
    if source is None:
        return _Decision(None, DeliveryState.IGNORED, f"{target} is not a configured source")
    if target.repository is not None and target.forge_id is not None:
        learn(connection, team_id, source, target.repository, target.forge_id)
    if renamed:
        reason = reason or f"source {source} has followed this before"
        return _Decision(source, DeliveryState.CHANGE, reason)
    if _work_of(intent):
        return _Decision(source, DeliveryState.TASK, reason)
    why = intent.reason if isinstance(intent, TicketIntent) else None
    return _Decision(source, DeliveryState.CHANGE, reason or why)


def _not_followed(target: Target, source: str | None, problem: str) -> str:
    which = f"source {source} cannot follow its repository" if source else "no source can follow it"
    return (
        f"{target} is not a configured source, and {which}: {problem}. Remove a source that is no longer needed with "
        f"`penstock index remove`, or name the repository with `penstock index rename`"
    )[:1000]


def _once(
    connection: Connection[Any], team_id: uuid.UUID, delivery: Delivery, intent: Intent, decided: _Decision
) -> _Decision:
    """The decision about a delivery that would start a task for an issue, if another delivery has started one: for the
    same happening, it is a duplicate; while that task is open, only the ticket's change is taken."""
    work = _work_of(intent)
    if decided.state != DeliveryState.TASK or work is None or work.happening is None:
        return decided
    ticket = _ticket(decided.source or "", work.target, work.happening)
    happening = str(work.happening)
    # Held until the end of the transaction, so that of two deliveries at once the second sees what the first did.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"penstock issue {team_id} {ticket}",))
    first = earlier(connection, team_id, ticket, work.happening, delivery.event_id)
    if first is None:
        return _Decision(decided.source, DeliveryState.TASK, decided.reason, ticket=ticket, happening=happening)
    other, task, same = first
    if same:
        reason = f"delivery {other} reported the same event before: task {task} is about it"
        return _Decision(decided.source, DeliveryState.DUPLICATE, reason, task)
    reason = f"starts no other task: task {task} for the same issue is still open"
    return _Decision(decided.source, DeliveryState.CHANGE, reason, task, ticket, happening)


def _ticket(source: str, target: Target, happening: Happening) -> str:
    """Names an issue of a source, also after its repository was renamed."""
    where = str(target.forge_id.number) if target.forge_id else target.repository or ""
    return f"{source} {happening.service} {where} {happening.key}"
