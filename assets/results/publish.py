"""Publishes what is due, each publication at most once at a time, and holds what needs a person's approval.

A publication that fails stays pending and is tried again later, so that a slow forge holds no execution slot.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from psycopg.rows import dict_row

from core import tracing
from core.database import Database
from core.follow_ups import FollowUp
from core.forge.protocol import Forge, ForgeUnavailable, Publication, PublicationRefused
from core.states import PublicationState
from core.trace_context import TraceContext
from core.work import Patch, Verdict

MAX_TRIES = 12
TRY_SECONDS = 300.0
"""For this time no other process tries the same publication; a killed try is repeated after it. It is longer than all
timeouts of a try."""
LONGEST_PAUSE = 3600.0


class OpenForge(Protocol):
    def __call__(self, team_id: uuid.UUID, source: str, place: str = "", /) -> Forge:
        """The forge of a team's source; or the tracker that `place` (`<service>:<project>`) is, if it is one. Raises
        `PublicationRefused`, `ForgeUnavailable`."""


Hold = Callable[[uuid.UUID, str, Publication], str | None]
"""Why a publication of a team's source needs a person's approval, or None."""
Prepare = Callable[[uuid.UUID, Forge, Publication], Publication]
"""What is published in place of a team's publication. Raises `PublicationRefused`, `ForgeUnavailable`."""


@dataclass(frozen=True)
class Published:
    """The state of one publication after a try."""

    target: str
    state: PublicationState
    location: str | None
    error: str | None


def publish_due(
    database: Database,
    open_forge: OpenForge,
    *,
    task_id: uuid.UUID | None = None,
    limit: int = 50,
    hold: Hold = lambda team, source, publication: None,
    prepare: Prepare = lambda team, forge, publication: publication,
) -> list[Published]:
    """Tries each due publication once, at most `limit`, only those of `task_id` if given. A forge that refuses or is
    unavailable raises nothing: see the states returned."""
    done: list[Published] = []
    for _ in range(limit):
        row = _take(database, task_id)
        if row is None:
            break
        done.append(_try(database, open_forge, hold, prepare, row))
    return done


def pause_after(tries: int, trouble: Exception | None = None) -> float:
    """Seconds until the next try after `tries` of them: twice as long each time, or what the forge asks for."""
    asked = trouble.pause if isinstance(trouble, ForgeUnavailable) else None
    return min(LONGEST_PAUSE, max(asked or 0.0, 5.0 * (1 << min(tries, 10))))


def _take(database: Database, task_id: uuid.UUID | None) -> dict[str, Any] | None:
    with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "WITH due AS (SELECT task_id, attempt, target FROM publications WHERE state = 'pending' "
            "AND next_try_at <= now() AND (%(task)s::uuid IS NULL OR task_id = %(task)s) "
            "ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED) "
            "UPDATE publications p SET tries = p.tries + 1, updated_at = now(), "
            "next_try_at = now() + %(seconds)s * interval '1 second' "
            "FROM due, verdicts v, attempts a, tasks t "
            "WHERE (p.task_id, p.attempt, p.target) = (due.task_id, due.attempt, due.target) "
            "AND (v.task_id, v.attempt) = (p.task_id, p.attempt) AND (a.task_id, a.attempt) = (p.task_id, p.attempt) "
            "AND t.id = p.task_id "
            "RETURNING p.*, v.body AS verdict_body, a.ended_at, t.ticket_key, t.traceparent, t.tracestate, "
            "t.ticket_service || ':' || t.ticket_project AS ticket_place, "
            "(SELECT to_jsonb(f) FROM follow_ups f "
            "WHERE (f.task_id, f.attempt) = (p.task_id, p.attempt)) AS follow_up, "
            "(SELECT to_jsonb(x) FROM patches x WHERE x.team_id = p.team_id AND x.sha256 = p.patch_sha256) AS patch",
            {"task": task_id, "seconds": TRY_SECONDS},
        ).fetchone()


def _try(database: Database, open_forge: OpenForge, hold: Hold, prepare: Prepare, row: dict[str, Any]) -> Published:
    """In the stage that is open here or, for a publication of an earlier run, in the trace of its attempt."""
    told = {
        "penstock.task": str(row["task_id"]),
        "penstock.attempt": row["attempt"],
        "penstock.target.kind": str(row["target"]).partition(":")[0],
        "penstock.publication.try": row["tries"],
    }
    parent = None if tracing.current() else TraceContext.read(row["traceparent"], row["tracestate"])
    with tracing.span("publish", told, parent=parent, kind="client") as current:
        published = _try_once(database, open_forge, hold, prepare, row)
        current.set("penstock.publication.state", published.state)
        return published


def _try_once(
    database: Database, open_forge: OpenForge, hold: Hold, prepare: Prepare, row: dict[str, Any]
) -> Published:
    location, error, wait = None, None, 0.0
    try:
        publication = _publication(row)
        source = row["body"]["source"]
        reason = None if row["approved_by"] else hold(row["team_id"], source, publication)
        if reason is not None:
            state, error = PublicationState.HELD, reason
        else:
            forge = open_forge(row["team_id"], source, row["target"])
            publication = prepare(row["team_id"], forge, publication)
            location = forge.publish(publication) if publication.patch is not None else forge.comment(publication)
            state = PublicationState.PUBLISHED
    except PublicationRefused as refusal:
        state, error = PublicationState.REFUSED, str(refusal)
    except (ForgeUnavailable, OSError) as trouble:
        error, wait = str(trouble), pause_after(row["tries"], trouble)
        state = PublicationState.DEAD_LETTERED if row["tries"] >= MAX_TRIES else PublicationState.PENDING
    with database.system() as connection:
        connection.execute(
            "UPDATE publications SET state = %s, location = %s, last_error = %s, updated_at = now(), "
            "next_try_at = now() + %s * interval '1 second' "
            "WHERE task_id = %s AND attempt = %s AND target = %s AND state = 'pending'",
            (state, location, error, wait, row["task_id"], row["attempt"], row["target"]),
        )
    return Published(row["target"], state, location, error)


def _publication(row: dict[str, Any]) -> Publication:
    body, asked = row["body"], row["follow_up"]
    return Publication(
        task_id=row["task_id"],
        attempt=row["attempt"],
        title=body["title"],
        message=body["message"],
        report=body["report"],
        description=body.get("description", ""),
        patch=Patch(base_commit=row["patch"]["base_commit"], diff=row["patch"]["diff"]) if row["patch"] else None,
        verdict=Verdict.model_validate(row["verdict_body"]),
        when=row["ended_at"] or datetime.now(UTC),
        ticket=row["ticket_key"] if row["ticket_place"] == row["target"] else None,
        follow_up=FollowUp(asked["pull"], asked["url"], asked["branch"], asked["head"]) if asked else None,
    )
