"""Moves between versions of a type: a new one serves a share of the keys first, takes over when it does no worse than
the old one, and goes back, by command or by itself, when its errors rise.

The decision is a pure function of counts. Counted are steps that failed by the code's fault, not refusals and not
failures of the platform.
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from math import comb
from typing import Any

from psycopg import Connection

from core.database import Database
from objects.catalogue import read_code, read_type

CANARY_CALLS = 20
"""Steps of the new version that a promotion needs."""
WATCH_MINUTES = 30
"""How long a promoted version is watched, and may go back by itself."""
LEAST_FAULTS = 3
WORSE = 0.05
"""Probability, under equal rates, of so many faults of the new version, below which it counts as worse."""


class Move(StrEnum):
    NONE = "none"
    PROMOTE = "promote"
    BACK = "back"


@dataclass(frozen=True)
class Counts:
    """Steps of a version: how many were answered, and how many failed by its fault."""

    answered: int
    faults: int

    @property
    def steps(self) -> int:
        return self.answered + self.faults


def is_worse(new: Counts, old: Counts) -> bool:
    """Whether the new version fails more often: Fisher's exact test, one-sided. Needs some faults, and no old calls."""
    if new.faults < LEAST_FAULTS:
        return False
    if old.steps == 0:
        return new.faults / new.steps > 0.1
    return fisher(new.faults, new.answered, old.faults, old.answered) < WORSE


def fisher(a: int, b: int, c: int, d: int) -> float:
    """P(at least `a` faults in the first row) of the table ((a, b), (c, d)) with these margins.
    R. A. Fisher, Statistical Methods for Research Workers, 1934, section 21.02."""
    row, column, total = a + b, a + c, a + b + c + d
    whole = comb(total, column)
    return sum(comb(row, k) * comb(total - row, column - k) for k in range(a, min(row, column) + 1)) / whole


def decide(new: Counts, old: Counts, *, canary: bool) -> tuple[Move, str]:
    """What to do with a version that was let out, and why in a sentence."""
    what = f"{new.faults} of {new.steps} steps failed, {old.faults} of {old.steps} with the version before"
    if is_worse(new, old):
        return Move.BACK, f"errors rose: {what}"
    if canary and new.steps >= CANARY_CALLS:
        return Move.PROMOTE, f"no worse: {what}"
    return Move.NONE, what


_COUNTS = """
SELECT coalesce(sum(answered), 0)::bigint, coalesce(sum(faults), 0)::bigint FROM (
    SELECT count(*) AS answered, 0 AS faults FROM object_calls
    WHERE team_id = %(team)s AND type = %(type)s AND code_version = %(version)s AND at > %(since)s
    UNION ALL
    SELECT 0, count(*) FROM object_faults
    WHERE team_id = %(team)s AND type = %(type)s AND code_version = %(version)s AND at > %(since)s
) AS both_kinds
"""


def counts(connection: Connection[Any], team: uuid.UUID, kind: str, version: int | None, since: object) -> Counts:
    row = connection.execute(_COUNTS, {"team": team, "type": kind, "version": version, "since": since}).fetchone()
    return Counts(*row) if row else Counts(0, 0)


def decide_all(database: Database) -> list[tuple[uuid.UUID, str]]:
    """Moves what is to be moved. Returns the types that changed."""
    moved = []
    with database.system() as connection:
        rows = connection.execute(
            "SELECT team_id, type, active_version, previous_version, canary_version, changed_at, "
            "changed_at - interval '1 day' FROM object_types WHERE NOT builtin AND (canary_version IS NOT NULL OR "
            "(previous_version IS NOT NULL AND changed_at > clock_timestamp() - make_interval(mins => %s))) "
            "LIMIT 200 FOR UPDATE SKIP LOCKED",
            (WATCH_MINUTES,),
        ).fetchall()
        for team, kind, active, previous, canary, since, before in rows:
            newer, older = (canary, active) if canary is not None else (active, previous)
            new = counts(connection, team, kind, newer, since)
            move, why = decide(new, counts(connection, team, kind, older, before), canary=canary is not None)
            if move == Move.PROMOTE:
                promote(connection, team, kind, why)
            elif move == Move.BACK:
                go_back(connection, team, kind, why)
            else:
                continue
            moved.append((team, kind))
    return moved


def promote(connection: Connection[Any], team: uuid.UUID, kind: str, why: str) -> int | None:
    """Makes the canary the active version; if there is none, the newest version that was withdrawn. Returns the version
    that serves then; None if there is neither."""
    row = connection.execute(
        "UPDATE object_types t SET previous_version = t.active_version, active_version = n.version, "
        "canary_version = NULL, canary_percent = 0, changed_at = clock_timestamp(), reason = %s "
        "FROM (SELECT o.team_id, o.type, coalesce(o.canary_version, (SELECT max(c.version) FROM object_code c "
        "WHERE (c.team_id, c.type, c.state) = (o.team_id, o.type, 'accepted') AND c.version > o.active_version)) "
        "AS version FROM object_types o WHERE (o.team_id, o.type) = (%s, %s) FOR UPDATE) n "
        "WHERE (t.team_id, t.type) = (n.team_id, n.type) AND n.version IS NOT NULL RETURNING t.active_version",
        (f"version promoted: {why}"[:1000], team, kind),
    ).fetchone()
    return int(row[0]) if row else None


def why_unused(connection: Connection[Any], kind: str, version: int) -> str | None:
    """Why an accepted version serves no key, and what lets it serve; None if it serves, or was not accepted."""
    code, row = read_code(connection, kind, version), read_type(connection, kind)
    if code is None or row is None or code.state != "accepted" or version in (row.active_version, row.canary_version):
        return None
    since = f"since {row.changed_at:%Y-%m-%d %H:%M:%S%z}" + (f" ({row.reason})" if row.reason else "")
    again = f"to let it serve: penstock object update {kind}"
    if row.active_version is not None and version < row.active_version:
        how = f"{again} --back" if version == row.previous_version and row.canary_version is None else _CHANGED
        return f"it was replaced: version {row.active_version} serves {since}; {how}"
    newest = connection.execute(
        "SELECT max(version) FROM object_code WHERE (type, state) = (%s, 'accepted')", (kind,)
    ).fetchone()
    if row.canary_version is None and newest and newest[0] == version:
        return f"it is withdrawn {since}: version {row.active_version} serves; {again} --promote"
    return f"it was withdrawn: version {row.active_version} serves, and a newer one has come since; {_CHANGED}"


_CHANGED = "to let it serve, submit it with a change, such as a comment"


def go_back(connection: Connection[Any], team: uuid.UUID, kind: str, why: str) -> int | None:
    """Withdraws the canary if there is one, else returns to the version before. Returns the version that serves then;
    None if there is nothing to go back to."""
    row = connection.execute(
        "UPDATE object_types SET active_version = CASE WHEN canary_version IS NULL THEN previous_version "
        "ELSE active_version END, previous_version = CASE WHEN canary_version IS NULL THEN NULL "
        "ELSE previous_version END, canary_version = NULL, canary_percent = 0, "
        "changed_at = clock_timestamp(), reason = %s "
        "WHERE team_id = %s AND type = %s AND (canary_version IS NOT NULL AND active_version IS NOT NULL "
        "OR canary_version IS NULL AND previous_version IS NOT NULL) RETURNING active_version",
        (f"went back: {why}"[:1000], team, kind),
    ).fetchone()
    return int(row[0]) if row else None
