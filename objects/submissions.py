"""Code that was submitted for a type, and what becomes of it: stored, checked by a node, let out or refused."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.access.errors import BadName, Conflict
from objects.catalogue import CodeRow, builtin, read_code
from objects.gate import Verdict, code_hash
from objects.manifest import read_manifest
from objects.scenarios import check_scenarios

CHECK_SECONDS = 300
"""How long a node has for checking code before another takes it up."""
AGAIN_SECONDS = 10
MOST_VERSIONS = 1000
MOST_TYPES = 200
SOURCE_BYTES = 256 << 10


@dataclass(frozen=True)
class Submission:
    type: str
    source: str
    manifest: Mapping[str, Any]
    scenarios: Sequence[Mapping[str, Any]]
    author: str
    percent: int = 20


def submit(connection: Connection[Any], team: uuid.UUID, given: Submission) -> CodeRow:
    """Stores code as the type's next version, unless the type has this very code already: then only other scenarios
    than those by which it was refused have it checked again. Raises `BadManifest`, `BadScenario`, `BadName` and
    `Conflict`."""
    if builtin(given.type) is not None:
        raise Conflict(f"{given.type!r} comes with Penstock: choose another name")
    read_manifest(given.manifest, given.type, 1)
    check_scenarios(given.scenarios)
    if len(given.source.encode("utf-8", "replace")) > SOURCE_BYTES or "\0" in given.source:
        raise BadName("source", f"must be a text of at most {SOURCE_BYTES >> 10} KiB without NUL characters")
    manifest, scenarios = _storable(given.manifest, "manifest"), _storable(list(given.scenarios), "scenarios")
    sha256 = code_hash(given.source, manifest)
    count = connection.execute("SELECT count(*) FROM object_types").fetchone()
    if count and count[0] >= MOST_TYPES:
        raise Conflict(f"a team has at most {MOST_TYPES} types of its own")
    connection.execute(
        "INSERT INTO object_types (team_id, type, labels) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (team, given.type, Jsonb(manifest.get("labels", {}))),
    )
    # The row is the lock: versions are numbered without a gap.
    connection.execute("SELECT FROM object_types WHERE (team_id, type) = (%s, %s) FOR UPDATE", (team, given.type))
    known = connection.execute(
        "SELECT version FROM object_code WHERE (team_id, type, sha256) = (%s, %s, %s)", (team, given.type, sha256)
    ).fetchone()
    if known is None:
        known = connection.execute(
            "INSERT INTO object_code (team_id, type, version, sha256, source, manifest, scenarios, author, percent) "
            "SELECT %s, %s, coalesce(max(version), 0) + 1, %s, %s, %s, %s, %s, %s FROM object_code "
            "WHERE (team_id, type) = (%s, %s) HAVING coalesce(max(version), 0) < %s RETURNING version",
            (
                *(team, given.type, sha256, given.source, Jsonb(manifest), Jsonb(scenarios), given.author[:200]),
                *(given.percent, team, given.type, MOST_VERSIONS),
            ),
        ).fetchone()
        if known is None:
            raise Conflict(f"a type has at most {MOST_VERSIONS} versions")
    connection.execute(
        "UPDATE object_code SET state = 'submitted', verdict = NULL, scenarios = %s, author = %s "
        "WHERE (team_id, type, version, state) = (%s, %s, %s, 'refused') AND scenarios <> %s",
        (Jsonb(scenarios), given.author[:200], team, given.type, known[0], Jsonb(scenarios)),
    )
    row = read_code(connection, given.type, known[0])
    assert row is not None  # noqa: S101  it was just found or stored
    return row


def _storable(value: Any, field: str) -> Any:
    text = json.dumps(value)
    if "\\u0000" in text or "\\ud8" in text or "\\udc" in text:
        raise BadName(field, "must hold no NUL characters and no lone surrogates")
    return json.loads(text)


def take_unchecked(
    connection: Connection[Any], only: tuple[uuid.UUID, str, int] | None = None
) -> tuple[uuid.UUID, str, int] | None:
    """Takes a version that nobody checks, in a transaction of the platform: the one named, or the oldest of the team
    that has the fewest, so that a team with many holds up the others little."""
    team, kind, version = only or (None, None, None)
    row = connection.execute(
        "UPDATE object_code c SET checked_by = clock_timestamp() + make_interval(secs => %s) "
        "FROM (SELECT ctid FROM object_code o WHERE state = 'submitted' "
        "AND (checked_by IS NULL OR checked_by < clock_timestamp()) "
        "AND (%s::uuid IS NULL OR (o.team_id, o.type, o.version) = (%s, %s, %s)) "
        "ORDER BY (SELECT count(*) FROM object_code w WHERE w.team_id = o.team_id AND w.state = 'submitted'), "
        "created_at LIMIT 1 FOR UPDATE SKIP LOCKED) d WHERE c.ctid = d.ctid RETURNING c.team_id, c.type, c.version",
        (CHECK_SECONDS, team, team, kind, version),
    ).fetchone()
    return (row[0], row[1], row[2]) if row else None


def give_back(connection: Connection[Any], taken: tuple[uuid.UUID, str, int]) -> None:
    """Lets a version be checked again soon that could not be checked."""
    connection.execute(
        "UPDATE object_code SET checked_by = clock_timestamp() + make_interval(secs => %s) "
        "WHERE (team_id, type, version) = (%s, %s, %s) AND state = 'submitted'",
        (AGAIN_SECONDS, *taken),
    )


def conclude(connection: Connection[Any], team: uuid.UUID, code: CodeRow, verdict: Verdict) -> None:
    """Stores the verdict about a version, and lets it out if it passed: to all if it is the first, else to its share of
    the keys. In a transaction of the team. Does nothing if the version was concluded before, or its hash is another;
    one that a newer version has overtaken meanwhile serves nobody."""
    done = connection.execute(
        "UPDATE object_code SET state = %s, verdict = %s, checked_by = NULL "
        "WHERE (type, version, sha256, state) = (%s, %s, %s, 'submitted') RETURNING percent",
        (
            "accepted" if verdict.passed else "refused",
            Jsonb(verdict.stored()),
            *(code.type, code.version, verdict.sha256),
        ),
    ).fetchone()
    if done is None or not verdict.passed:
        return
    percent = done[0]
    if percent == 100:
        connection.execute(
            "UPDATE object_types SET previous_version = active_version, active_version = %s, canary_version = NULL, "
            "canary_percent = 0, changed_at = clock_timestamp(), reason = %s, labels = %s "
            "WHERE (team_id, type) = (%s, %s) AND coalesce(greatest(active_version, canary_version), 0) < %s",
            (
                code.version,
                "let out to all keys, as submitted",
                Jsonb(code.manifest.get("labels", {})),
                team,
                code.type,
                code.version,
            ),
        )
        return
    connection.execute(
        "UPDATE object_types SET active_version = coalesce(active_version, %(version)s), "
        "canary_version = CASE WHEN active_version IS NULL THEN NULL ELSE %(version)s END, "
        "canary_percent = CASE WHEN active_version IS NULL THEN 0 ELSE %(percent)s END, "
        "changed_at = clock_timestamp(), "
        "reason = CASE WHEN active_version IS NULL THEN 'the first version' ELSE %(why)s END, labels = %(labels)s "
        "WHERE team_id = %(team)s AND type = %(type)s "
        "AND coalesce(greatest(active_version, canary_version), 0) < %(version)s",
        {
            "version": code.version,
            "percent": percent,
            "why": f"version {code.version} serves {percent}% of the keys",
            "labels": Jsonb(code.manifest.get("labels", {})),
            "team": team,
            "type": code.type,
        },
    )
