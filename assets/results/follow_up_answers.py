"""Answers remarks on pull requests, once the attempt that works on them has ended, each once and where it was made."""

from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from assets.results.feedback import Followed, set_state, try_again
from assets.results.publish import TRY_SECONDS, OpenForge
from core.database import Database
from core.forge.hosted import HostedForge
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.states import FeedbackState, TaskState

# Remarks whose attempt has ended, and whose result is published or never will be.
_OVER = """
FROM feedback f JOIN tasks t ON t.id = f.task_id
LEFT JOIN publications p ON (p.task_id, p.attempt) = (f.task_id, f.attempt)
LEFT JOIN stage_outputs e ON (e.task_id, e.attempt, e.stage) = (f.task_id, f.attempt, 'execution')
WHERE f.state = 'taken' AND (t.attempt > f.attempt OR t.state IN ('resolved', 'unresolved', 'failed', 'cancelled'))
    AND coalesce(p.state, '') <> 'pending'
"""
_ENDED = f"""
SELECT f.id, t.state AS task_state, p.state, p.patch_sha256 IS NOT NULL AS has_patch, p.last_error,
    (SELECT count(*) FROM feedback o WHERE (o.task_id, o.attempt) = (f.task_id, f.attempt)) AS remarks,
    p.body ->> 'headline' AS headline, e.body ->> 'summary' AS summary
{_OVER} ORDER BY f.received_at LIMIT %s FOR UPDATE OF f SKIP LOCKED
"""  # noqa: S608  constants
_COUNT = f"""
SELECT (SELECT count(*) {_OVER}) + (SELECT count(*) FROM feedback WHERE state = 'decided' AND next_try_at <= now())
"""  # noqa: S608
_ANSWER = """
WITH due AS (
    SELECT id FROM feedback WHERE state = 'decided' AND next_try_at <= now()
    ORDER BY received_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE feedback f SET tries = f.tries + 1, next_try_at = now() + %s * interval '1 second'
FROM due WHERE f.id = due.id
RETURNING f.*, EXISTS (SELECT FROM publications p WHERE (p.task_id, p.attempt) = (f.task_id, f.attempt)
    AND p.state = 'published' AND p.patch_sha256 IS NOT NULL) AS added
"""


def answer_due(database: Database, open_forge: OpenForge, limit: int) -> list[Followed]:
    """Stores what to answer to the remarks whose attempt has ended, and writes the answers that are due; each at most
    `limit`. Raises nothing for a forge that refuses or is unavailable."""
    done: list[Followed] = []
    _decide_ended(database, limit)
    for _ in range(limit):
        with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_ANSWER, (TRY_SECONDS,)).fetchone()
        if row is None:
            break
        done.append(_answer(database, open_forge, row))
    return done


def count_answers_due(connection: Connection[TupleRow]) -> int:
    """How many remarks `answer_due` would deal with now, of all teams."""
    row = connection.execute(_COUNT.encode()).fetchone()
    return int(row[0]) if row else 0


def _decide_ended(database: Database, limit: int) -> None:
    """Stores what to answer to the remarks whose attempt has ended."""
    with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_ENDED.encode(), (limit,)).fetchall()
        cursor.executemany(
            "UPDATE feedback SET state = 'decided', outcome = %s, tries = 0, next_try_at = now() WHERE id = %s",
            [(answer_text(row), row["id"]) for row in rows],
        )


def answer_text(row: dict[str, Any]) -> str:
    """What is answered to a remark, in Markdown. `row` has the `state` and `last_error` of the attempt's publication,
    whether it `has_patch`, the `headline` and `summary` of its result, and the number of `remarks` that it took up."""
    others = (row["remarks"] or 1) - 1
    together = f"\n\nThis attempt worked on {others} other remark{'s' if others > 1 else ''} too." if others else ""
    found = "\n\n".join(text for text in (row["headline"], row["summary"]) if text)
    state = row["state"]
    if state is None:
        if row["task_state"] == TaskState.CANCELLED:
            return "The work on this was stopped."
        return "Penstock could not work on this; its operators see why."
    if not row["has_patch"]:
        return f"Nothing was changed. {row['summary'] or ''}\n\n`/penstock explain` shows what was tried.{together}"
    if state == "published":
        return f"The branch has a new commit.\n\n{found}{together}"
    if state == "held":
        return (
            f"There is a patch, which waits for approval ({row['last_error'] or ''}): `/penstock approve` in a comment "
            f"adds it to the branch.\n\n{found}"
        )
    return f"There is a patch, but it was not added to the branch. The reason: {row['last_error'] or 'see the task'}."


def _answer(database: Database, open_forge: OpenForge, row: dict[str, Any]) -> Followed:
    try:
        forge = open_forge(row["team_id"], row["source"])
        if not isinstance(forge, HostedForge):
            return set_state(database, row, FeedbackState.DEAD_LETTERED, "its source is at no forge any more")
        text = _quoted(row)
        if row["added"] and (commit := forge.own_commit(row["task_id"], row["attempt"])):
            text += f"\n\nCommit {commit}."
        url = forge.answer(row["ticket_key"], row["id"], text, row["thread"])
    except PublicationRefused as refusal:
        return set_state(database, row, FeedbackState.DEAD_LETTERED, str(refusal))
    except (ForgeUnavailable, OSError) as trouble:
        return try_again(database, row, trouble)
    with database.system() as connection:
        connection.execute(
            "UPDATE feedback SET state = 'answered', answer = %s WHERE id = %s AND state = 'decided'", (url, row["id"])
        )
    return Followed(row["id"], FeedbackState.ANSWERED, row["outcome"])


def _quoted(row: dict[str, Any]) -> str:
    """The answer, with the beginning of what it answers where that does not stand above it."""
    if row["thread"]:
        return str(row["outcome"])
    line = next((line.strip() for line in row["body"].splitlines() if line.strip()), "")
    return f"> {line[:200]}\n\n{row['outcome']}"
