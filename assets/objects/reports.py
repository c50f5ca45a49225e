"""What Dagster shows of types of durable objects: versions, how their steps went, and how many objects have each
state."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Any

from core.database import Database
from core.events import DEFAULT_TEAM
from objects.catalogue import builtin, read_type
from objects.registry import health_of

MOST_TYPES = 500


@dataclass(frozen=True)
class TypeReport:
    """`partition` is the bare type for the default team, else `TEAM_ID:TYPE`, as partitions of sources are."""

    partition: str
    facts: dict[str, Any]

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def type_reports(database: Database) -> list[TypeReport]:
    """The types that have objects or code, of all teams. One cheap query if there are none."""
    with database.system() as connection:
        found = connection.execute(
            "SELECT team_id, type FROM object_types UNION SELECT DISTINCT team_id, type FROM objects ORDER BY 1, 2 "
            "LIMIT %s",
            (MOST_TYPES,),
        ).fetchall()
    return [_report(database, team, kind) for team, kind in found]


def _report(database: Database, team: uuid.UUID, kind: str) -> TypeReport:
    with database.team(team) as connection:
        health = health_of(connection, team, kind)
        row = read_type(connection, kind)
    facts: dict[str, Any] = {
        "answered in the last hour": health.answered,
        "refused in the last hour": health.refused,
        "failed in the last hour": health.faults,
        "p95 seconds": round(health.p95_seconds, 4) if health.p95_seconds is not None else None,
        **{f"objects {status.lower()}": count for status, count in sorted(health.objects.items())},
    }
    if row is not None and builtin(kind) is None:
        facts |= {
            "active version": row.active_version,
            "canary version": row.canary_version,
            "canary percent": row.canary_percent,
            "last move": row.reason,
        }
    partition = kind if team == DEFAULT_TEAM else f"{team}:{kind}"
    return TypeReport(partition, {name: value for name, value in facts.items() if value is not None})
