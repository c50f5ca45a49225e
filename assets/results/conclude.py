"""Concludes an attempt: stores verdict, publications and outcome in one transaction; `publish_due` then publishes.

A publication that fails stays pending and is tried again later, so that a slow forge holds no execution slot.
A killed process leaves either no rows or a complete set.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from core.attempts import Attempt
from core.database import Database
from core.forge.protocol import Forge, ForgeUnavailable, Publication, PublicationRefused
from core.states import PublicationState, TaskState
from core.work import Execution, Patch, Verdict, VerdictKind

MAX_TRIES = 12
TRY_SECONDS = 60.0
"""For this time no other process tries the same publication; a killed try is repeated after it."""


@dataclass(frozen=True)
class Published:
    """The state of one publication after a try."""

    target: str
    state: PublicationState
    location: str | None
    error: str | None


def conclude(
    attempt: Attempt, execution: Execution, verdict: Verdict, *, message: str, report: str, target: str
) -> TaskState:
    """Stores the attempt's results under its fencing epoch, and closes it. Raises `core.attempts.LeaseLost`."""
    accepted = verdict.verdict is not VerdictKind.FAIL and execution.patch is not None
    state = TaskState.RESOLVED if accepted else TaskState.UNRESOLVED
    patch = execution.patch if accepted else None
    task = attempt.task
    with attempt.fenced() as connection:
        attempt.save_verdict(connection, verdict, execution.patch)
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, patch_sha256, body) "
            "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                task.team_id,
                *attempt.key,
                target,
                patch.sha256 if patch else None,
                Jsonb({"title": task.title, "message": message, "report": report, "source": task.source}),
            ),
        )
        attempt.close(
            connection,
            state,
            execution.summary[:1000],
            {
                "verdict": verdict.verdict,
                "patch": patch.sha256 if patch else None,
                "candidates": execution.evidence.candidates.tried,
                "seconds": round(execution.seconds, 3),
            },
        )
    return state


def publish_due(
    database: Database,
    open_forge: Callable[[uuid.UUID, str], Forge],
    *,
    task_id: uuid.UUID | None = None,
    limit: int = 50,
) -> list[Published]:
    """Tries each due publication once, at most `limit`, only those of `task_id` if given. `open_forge` takes a team's
    id and the name of a source. A forge that refuses or is unavailable raises nothing: see the states returned."""
    done: list[Published] = []
    for _ in range(limit):
        row = _take(database, task_id)
        if row is None:
            break
        done.append(_try(database, open_forge, row))
    return done


def _take(database: Database, task_id: uuid.UUID | None) -> dict[str, Any] | None:
    with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "WITH due AS (SELECT task_id, attempt, target FROM publications WHERE state = 'pending' "
            "AND next_try_at <= now() AND (%(task)s::uuid IS NULL OR task_id = %(task)s) "
            "ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED) "
            "UPDATE publications p SET tries = p.tries + 1, updated_at = now(), "
            "next_try_at = now() + %(seconds)s * interval '1 second' "
            "FROM due, verdicts v, attempts a "
            "WHERE (p.task_id, p.attempt, p.target) = (due.task_id, due.attempt, due.target) "
            "AND (v.task_id, v.attempt) = (p.task_id, p.attempt) AND (a.task_id, a.attempt) = (p.task_id, p.attempt) "
            "RETURNING p.*, v.body AS verdict_body, a.ended_at, "
            "(SELECT to_jsonb(x) FROM patches x WHERE x.team_id = p.team_id AND x.sha256 = p.patch_sha256) AS patch",
            {"task": task_id, "seconds": TRY_SECONDS},
        ).fetchone()


def _try(database: Database, open_forge: Callable[[uuid.UUID, str], Forge], row: dict[str, Any]) -> Published:
    location, error = None, None
    body = row["body"]
    try:
        publication = Publication(
            task_id=row["task_id"],
            attempt=row["attempt"],
            title=body["title"],
            message=body["message"],
            report=body["report"],
            patch=Patch(base_commit=row["patch"]["base_commit"], diff=row["patch"]["diff"]) if row["patch"] else None,
            verdict=Verdict.model_validate(row["verdict_body"]),
            when=row["ended_at"] or datetime.now(UTC),
        )
        forge = open_forge(row["team_id"], body["source"])
        location = forge.publish(publication) if publication.patch is not None else forge.comment(publication)
        state = PublicationState.PUBLISHED
    except PublicationRefused as refusal:
        state, error = PublicationState.REFUSED, str(refusal)
    except (ForgeUnavailable, OSError) as trouble:
        error = str(trouble)
        state = PublicationState.DEAD_LETTERED if row["tries"] >= MAX_TRIES else PublicationState.PENDING
    wait = min(3600.0, 5.0 * 2 ** min(row["tries"], 10))
    with database.system() as connection:
        connection.execute(
            "UPDATE publications SET state = %s, location = %s, last_error = %s, updated_at = now(), "
            "next_try_at = now() + %s * interval '1 second' "
            "WHERE task_id = %s AND attempt = %s AND target = %s AND state = 'pending'",
            (state, location, error, wait, row["task_id"], row["attempt"], row["target"]),
        )
    return Published(row["target"], state, location, error)
