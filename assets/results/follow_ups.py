"""Follow-ups: what people say in reviews of Penstock's pull requests, and checks that fail there, become the task's
next attempt, on the same branch; `follow_up_answers` answers each where it was made.

Only who may write to the repository at that moment is followed, and only while nobody else has committed to the branch.
Remarks are taken together once no further one has come for `SETTLE_SECONDS`, since forges deliver each line's remark of
a review by itself. What to answer is stored before it is written, so a killed process repeats nothing.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from assets.results.feedback import Followed, set_state, set_state_in, try_again, wait, wait_in
from assets.results.follow_up_answers import answer_due, count_answers_due
from assets.results.publish import TRY_SECONDS, OpenForge
from core import tasks
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.follow_ups import FollowUp, checks_text, request_of
from core.forge.hosted import HostedForge, Standing
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.states import FeedbackState

SETTLE_SECONDS = 10.0
BUSY_SECONDS = 15.0
"""Until the task is looked at again while an attempt at it is under way."""
MOST_FOLLOW_UPS = 20
"""Attempts at one task that people's remarks may start."""
MOST_FOR_CHECKS = 3
"""Attempts at one task that failed checks may start, since a person last asked for one."""
MOST_REMARKS = 50
"""Of one pull request that one attempt takes up."""
CHECKS_SECONDS = 30.0
"""Until checks that have not all ended are looked at again."""
CHECKS_HOURS = 6
"""After this time they are given up."""

_SETTLED = """
SELECT task_id, branch FROM feedback WHERE state = 'pending' GROUP BY task_id, branch
HAVING max(received_at) <= now() - %(settle)s * interval '1 second' AND max(next_try_at) <= now()
"""
# The remarks of one task, of which none is being dealt with by another process.
_TAKE = f"""
WITH due AS ({_SETTLED} ORDER BY min(received_at) LIMIT 1), held AS (
    SELECT f.id FROM feedback f JOIN due USING (task_id, branch) WHERE f.state = 'pending'
    ORDER BY f.received_at, f.id LIMIT %(most)s FOR UPDATE OF f SKIP LOCKED
)
UPDATE feedback f SET tries = f.tries + 1, next_try_at = now() + %(seconds)s * interval '1 second'
FROM held WHERE f.id = held.id AND f.state = 'pending' AND f.next_try_at <= now()
RETURNING f.*, EXISTS (SELECT FROM commands c WHERE c.id = f.id) AS by_command
"""  # noqa: S608  constants
_BASE = """
SELECT x.base_commit FROM publications p JOIN patches x ON (x.team_id, x.sha256) = (p.team_id, p.patch_sha256)
WHERE p.task_id = %s ORDER BY p.state <> 'published', p.attempt LIMIT 1
"""
# All attempts at pull requests of a task, and those since the last one that a person asked for.
_COUNTS = """
SELECT count(*), count(*) FILTER (WHERE u.attempt > coalesce((
    SELECT max(f.attempt) FROM feedback f WHERE f.task_id = u.task_id AND f.kind = 'remark'), 0))
FROM follow_ups u WHERE u.task_id = %s
"""


def follow_up_due(
    database: Database,
    log: PostgresLog,
    open_forge: OpenForge,
    *,
    limit: int = 50,
) -> list[Followed]:
    """Queues the attempts that remarks ask for, and answers those whose attempt has ended; each at most `limit` times.
    Raises nothing for a forge that refuses or is unavailable."""
    done: list[Followed] = []
    for _ in range(limit):
        with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
            given = {"settle": SETTLE_SECONDS, "most": MOST_REMARKS, "seconds": TRY_SECONDS}
            rows = cursor.execute(_TAKE.encode(), given).fetchall()
        if not rows:
            break
        done += _take_up(database, log, open_forge, rows)
    return done + answer_due(database, open_forge, limit)


def count_due(connection: Connection[TupleRow]) -> int:
    """How many pull requests and answers `follow_up_due` would deal with now, of all teams."""
    query = f"SELECT count(*) FROM ({_SETTLED}) AS settled"  # noqa: S608  constants
    row = connection.execute(query.encode(), {"settle": SETTLE_SECONDS}).fetchone()
    return (int(row[0]) if row else 0) + count_answers_due(connection)


def _take_up(database: Database, log: PostgresLog, open_forge: OpenForge, rows: list[dict[str, Any]]) -> list[Followed]:
    """Decides about the remarks on one task's pull request, and its failed checks."""
    try:
        forge = open_forge(rows[0]["team_id"], rows[0]["source"])
        place = f"{rows[0]['ticket_service']}:{rows[0]['ticket_project']}"
        if not isinstance(forge, HostedForge) or forge.target != place:
            reason = f"results of its source are not published at {place}"
            return [set_state(database, row, FeedbackState.IGNORED, reason) for row in rows]
        return _consider(database, log, forge, rows)
    except PublicationRefused as refusal:
        return [set_state(database, row, FeedbackState.DEAD_LETTERED, str(refusal)) for row in rows]
    except (ForgeUnavailable, OSError) as trouble:
        return [try_again(database, row, trouble) for row in rows]


def _consider(database: Database, log: PostgresLog, forge: HostedForge, rows: list[dict[str, Any]]) -> list[Followed]:
    first = rows[0]
    with database.team(first["team_id"]) as connection:
        task = tasks.get_task(connection, first["task_id"])
        found = connection.execute(_BASE, (task.id,)).fetchone()
    if not task.closed:
        return [wait(database, row, BUSY_SECONDS, f"an attempt at task {task.id} is under way") for row in rows]
    if found is None:
        return [set_state(database, row, FeedbackState.IGNORED, "its task has published no patch") for row in rows]
    base: str = found[0]
    key = next((row["ticket_key"] for row in rows if row["ticket_key"]), None)
    standing = forge.standing(key, first["branch"], base)
    if standing.key is None or standing.head is None:
        return [_not_open(database, row) for row in rows]
    heard, done = [], []
    for row in rows:
        row["ticket_key"] = standing.key
        one = _unheard(database, forge, standing, row, base)
        if one is None:
            heard.append(row)
        else:
            done.append(one)
    if not heard:
        return done
    if not standing.ours:
        said = "Somebody has committed to this branch, so Penstock leaves it alone: what people do comes first."
        states = {"remark": FeedbackState.DECIDED, "checks": FeedbackState.IGNORED}  # nobody has asked about checks
        return done + [set_state(database, row, states[row["kind"]], said) for row in heard]
    with database.team(first["team_id"]) as connection:
        return done + _queue_in(connection, log, task.id, standing, heard)


def _not_open(database: Database, row: dict[str, Any]) -> Followed:
    """Ignores a remark on a closed pull request; the answer to a command, which is there already, says so."""
    if row["by_command"]:
        return set_state(database, row, FeedbackState.DECIDED, "The pull request is not open, so nothing is done.")
    return set_state(database, row, FeedbackState.IGNORED, "its pull request is not open")


def _unheard(
    database: Database, forge: HostedForge, standing: Standing, row: dict[str, Any], base: str
) -> Followed | None:
    """What becomes of a row that starts no attempt now, or None. Of failed checks, `body` becomes what they say."""
    if row["kind"] == "checks":
        return _no_failure(database, forge, standing, row, base)
    reason = None
    if not forge.may_write(row["author"], row["author_id"]):
        reason = f"{row['author']} may not write to the repository"
    elif row["thread"] and row["remark"] and not forge.begins(row["ticket_key"], row["thread"], row["remark"]):
        reason = "it answers in a thread that has begun"
    return set_state(database, row, FeedbackState.IGNORED, reason) if reason else None


def _no_failure(
    database: Database, forge: HostedForge, standing: Standing, row: dict[str, Any], base: str
) -> Followed | None:
    if row["head"] != standing.head:
        return set_state(database, row, FeedbackState.IGNORED, "the branch has another head by now")
    found = forge.failed_checks(row["head"], base)
    if not found.settled:
        if datetime.now(UTC) - row["received_at"] > timedelta(hours=CHECKS_HOURS):
            reason = f"its checks have not ended for {CHECKS_HOURS} hours"
            return set_state(database, row, FeedbackState.IGNORED, reason)
        return wait(database, row, CHECKS_SECONDS, "not all checks have ended")
    if not found.failed:
        reason = "no check fails that must pass and passes without the patch"
        return set_state(database, row, FeedbackState.IGNORED, reason)
    row["body"] = checks_text([(check.name, check.log) for check in found.failed])
    return None


def _queue_in(
    connection: Connection[TupleRow],
    log: PostgresLog,
    task: uuid.UUID,
    standing: Standing,
    rows: Sequence[dict[str, Any]],
) -> list[Followed]:
    """Queues the attempt, in one transaction with the remarks that it takes up."""
    ids = [row["id"] for row in rows]
    held = connection.execute(
        "SELECT id FROM feedback WHERE id = ANY(%s) AND state = 'pending' FOR UPDATE", (ids,)
    ).fetchall()
    rows = [row for row in rows if (row["id"],) in held]
    if not rows:
        return []
    asker = next((row for row in rows if row["author"]), None)
    if refusal := _too_many(connection, task, by_person=asker is not None):
        return [set_state_in(connection, row, FeedbackState.DECIDED, refusal) for row in rows]
    request = request_of([(row["author"], row["path"], row["line"], row["body"]) for row in rows])
    what = FollowUp(standing.key or "", standing.url or "", rows[0]["branch"], standing.head or "", request)
    starter = (asker["author"], asker["author_id"]) if asker else None
    try:
        queued = tasks.follow_up(connection, log, task, what, starter)
    except tasks.IllegalMove as refusal:
        return [wait_in(connection, row, BUSY_SECONDS, str(refusal)) for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE feedback SET state = 'taken', attempt = %s, tries = 0, ticket_key = %s, body = %s WHERE id = %s",
            [(queued.attempt, row["ticket_key"], row["body"], row["id"]) for row in rows],
        )
    outcome = f"attempt {queued.attempt} of task {task} works on it"
    return [Followed(row["id"], FeedbackState.TAKEN, outcome) for row in rows]


def _too_many(connection: Connection[TupleRow], task: uuid.UUID, *, by_person: bool) -> str | None:
    """Why no further attempt at a task follows up on its pull request, or None."""
    row = connection.execute(_COUNTS, (task,)).fetchone()
    total, for_checks = row if row is not None else (0, 0)
    if total >= MOST_FOLLOW_UPS:
        return f"This pull request has had {MOST_FOLLOW_UPS} follow-ups, the most that Penstock makes."
    if not by_person and for_checks >= MOST_FOR_CHECKS:
        return f"Penstock has followed up on failed checks {MOST_FOR_CHECKS} times, and leaves this to you."
    return None
