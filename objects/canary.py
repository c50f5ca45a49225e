"""Moves between versions of a type: a new one serves a share of the keys first, takes over when it does no worse than
the old one, and goes back, by command or by itself, when its errors rise.

The decision is a pure function of counts. Counted are steps that failed by the code's fault, not refusals and not
failures of the platform.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
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
LOOKED_AT_ONCE = 200
MOST_COUNTED = 2000
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
SELECT e.at,
    (SELECT count(*) FROM object_calls WHERE team_id = %(team)s AND type = %(type)s AND code_version = %(version)s
        AND at > %(since)s AND at <= e.at),
    (SELECT count(*) FROM object_faults WHERE team_id = %(team)s AND type = %(type)s AND code_version = %(version)s
        AND at > %(since)s AND at <= e.at),
    (SELECT count(*) FROM object_calls WHERE team_id = %(team)s AND type = %(type)s AND code_version = %(version)s
        AND at > greatest(%(since)s, e.at)),
    (SELECT count(*) FROM object_faults WHERE team_id = %(team)s AND type = %(type)s AND code_version = %(version)s
        AND at > greatest(%(since)s, e.at))
FROM (SELECT statement_timestamp() - interval '15 seconds' AS at) e
"""
"""What was stored up to a moment by which every statement of then has ended, and what since."""


class Watch:
    """Looks at what was let out a while ago, again and again. Each step is counted once, however often it looks."""

    def __init__(self) -> None:
        self._counted: dict[tuple[uuid.UUID, str, int, datetime], tuple[datetime, Counts]] = {}
        self._last = (uuid.UUID(int=0), "")

    def move(self, database: Database) -> list[tuple[uuid.UUID, str]]:
        """Moves what is to be moved among the next types. Returns those that changed."""
        with database.system() as connection:
            rows = connection.execute(
                "SELECT team_id, type, active_version, previous_version, canary_version, changed_at, "
                "changed_at - interval '1 day' FROM object_types WHERE (team_id, type) > (%s, %s) "
                "AND (canary_version IS NOT NULL OR (previous_version IS NOT NULL "
                "AND changed_at > clock_timestamp() - make_interval(mins => %s))) ORDER BY team_id, type LIMIT %s",
                (*self._last, WATCH_MINUTES, LOOKED_AT_ONCE),
            ).fetchall()
        self._last = (rows[-1][0], rows[-1][1]) if len(rows) == LOOKED_AT_ONCE else (uuid.UUID(int=0), "")
        return [(row[0], row[1]) for row in rows if self._look(database, *row)]

    def _look(
        self,
        database: Database,
        team: uuid.UUID,
        kind: str,
        active: int,
        previous: int,
        canary: int | None,
        since: datetime,
        before: datetime,
    ) -> bool:
        newer, older = (canary, active) if canary is not None else (active, previous)
        with database.system() as connection:
            new = self.counts(connection, team, kind, newer, since)
            move, why = decide(new, self.counts(connection, team, kind, older, before), canary=canary is not None)
            if move == Move.NONE:
                return False
            unmoved = connection.execute(
                "SELECT FROM object_types WHERE (team_id, type, changed_at) = (%s, %s, %s) FOR UPDATE SKIP LOCKED",
                (team, kind, since),
            ).fetchone()
            if unmoved is None:
                return False
            (promote if move == Move.PROMOTE else go_back)(connection, team, kind, why)
            return True

    def counts(self, connection: Connection[Any], team: uuid.UUID, kind: str, version: int, since: datetime) -> Counts:
        """Steps of a version since a time."""
        name = (team, kind, version, since)
        begin, known = self._counted.get(name, (since, Counts(0, 0)))
        row = connection.execute(_COUNTS, {"team": team, "type": kind, "version": version, "since": begin}).fetchone()
        assert row is not None  # noqa: S101  it selects from one row
        edge, answered, faults, then_answered, then_faults = row
        settled = Counts(known.answered + answered, known.faults + faults)
        if len(self._counted) >= MOST_COUNTED:
            self._counted.clear()
        self._counted[name] = (max(edge, begin), settled)
        return Counts(settled.answered + then_answered, settled.faults + then_faults)


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
