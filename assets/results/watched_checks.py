"""Failed checks at the head of a branch that a rule names (`failed:BRANCH`) start a task.

Deliveries only say where to look. The forge is asked whether the commit is still the head of the branch, so that only
who may push there can start work; whether all checks have ended; and which of them fail that did not fail before. The
task begins through the same intake as a webhook's, as a delivery of the sender `checks`, so that the ledger counts it.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from assets.results.publish import MAX_TRIES, TRY_SECONDS, OpenForge, pause_after
from core.backlog import ANY_NUMBER, Backlog, Overloaded
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.follow_ups import checks_text
from core.forge.host import Check
from core.forge.hosted import HostedForge
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.intake import Delivery, Target, TaskIntent, receive
from core.payload import clean, cut_body, cut_title, web_address
from core.rules import Rules
from core.states import OPEN_TASK_STATES, WatchState
from core.tickets import BODY_BYTES
from core.watched_checks import unjudged

ORIGIN = "checks"
SETTLE_SECONDS = 10.0
"""After a report, since several come for one failure."""
CHECKS_SECONDS = 30.0
"""Until checks that have not all ended are looked at again."""
CHECKS_HOURS = 6
"""After this time they are given up."""
MOST_BEFORE = 50
"""Commits back to one whose checks were judged."""
MOST_NAMED = 5
"""Checks that a title names."""
NAME_CHARACTERS = 200
TITLE_CHARACTERS = 200
LOG_CHARACTERS = 4_000
"""Of each check's log, the end."""
_SAME_DAY = "1 day"

_DUE = "state = 'pending' AND next_try_at <= now() AND received_at <= now() - %(settle)s * interval '1 second'"
_TAKE = f"""
UPDATE watched_checks SET tries = tries + 1, next_try_at = now() + %(seconds)s * interval '1 second'
WHERE id = (SELECT id FROM watched_checks WHERE {_DUE} ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *
"""  # noqa: S608  constants
# What tasks of this branch are about that are open, or began today.
_TASKS = f"""
SELECT t.id, t.state = ANY(%(open)s) AS open, w.failed FROM watched_checks w JOIN tasks t ON t.id = w.task_id
WHERE w.team_id = %(team)s AND (w.source, w.branch) = (%(source)s, %(branch)s)
    AND (t.state = ANY(%(open)s) OR w.decided_at > now() - interval '{_SAME_DAY}')
ORDER BY w.decided_at DESC
"""  # noqa: S608  constants


@dataclass(frozen=True)
class Looked:
    """A head after it was looked at: `outcome` says what was done, or why not (yet)."""

    id: uuid.UUID
    branch: str
    state: WatchState
    outcome: str


def look_due(
    database: Database,
    log: PostgresLog,
    open_forge: OpenForge,
    rules: Rules,
    *,
    backlog: Backlog = ANY_NUMBER,
    limit: int = 50,
) -> list[Looked]:
    """Looks at each head that is due once, at most `limit`, and starts their tasks. Raises nothing for a forge that
    refuses or is unavailable."""
    done = []
    for _ in range(limit):
        with database.system() as connection, connection.cursor(row_factory=dict_row) as cursor:
            given = {"settle": SETTLE_SECONDS, "seconds": TRY_SECONDS}
            row = cursor.execute(_TAKE.encode(), given).fetchone()
        if row is None:
            break
        done.append(_Head(database, log, rules, backlog, row).look(open_forge))
    return done


def count_looks_due(connection: Connection[TupleRow]) -> int:
    """How many heads `look_due` would look at now, of all teams."""
    query = f"SELECT count(*) FROM watched_checks WHERE {_DUE}"  # noqa: S608  constants
    row = connection.execute(query.encode(), {"settle": SETTLE_SECONDS}).fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True)
class _Head:
    """One row, which this process has taken."""

    database: Database
    log: PostgresLog
    rules: Rules
    backlog: Backlog
    row: dict[str, Any]

    def look(self, open_forge: OpenForge) -> Looked:
        row = self.row
        if self.rules.watching(row["branch"], row["service"], row["project"]) is None:
            return self._ends(WatchState.IGNORED, f"no rule names branch {row['branch']} any more")
        try:
            forge = open_forge(row["team_id"], row["source"])
            place = f"{row['service']}:{row['project']}"
            if not isinstance(forge, HostedForge) or forge.target != place:
                return self._ends(WatchState.IGNORED, f"results of its source are not published at {place}")
            return self._consider(forge)
        except PublicationRefused as refusal:
            return self._ends(WatchState.DEAD_LETTERED, str(refusal))
        except Overloaded as full:
            return self._waits(full.seconds, str(full))
        except (ForgeUnavailable, OSError) as trouble:
            if row["tries"] >= MAX_TRIES:
                return self._ends(WatchState.DEAD_LETTERED, str(trouble))
            return self._waits(pause_after(row["tries"], trouble), str(trouble), counted=True)

    def _consider(self, forge: HostedForge) -> Looked:
        row = self.row
        branch, head = row["branch"], row["head"]
        if forge.head_of(branch) != head:
            return self._ends(WatchState.SUPERSEDED, "the branch has another head by now")
        if branch != (works_at := forge.base_branch):
            reason = f"tasks of source {row['source']} are worked on at branch {works_at}, not {branch}"
            return self._ends(WatchState.IGNORED, reason)
        base = self._judged_before(forge)
        found = forge.failed_checks(head, base)
        if not found.settled:
            if datetime.now(UTC) - row["received_at"] > timedelta(hours=CHECKS_HOURS):
                return self._ends(WatchState.IGNORED, f"its checks have not ended for {CHECKS_HOURS} hours")
            return self._waits(CHECKS_SECONDS, "not all checks have ended")
        if not found.failed:
            return self._ends(WatchState.IGNORED, "no check fails that counts and did not fail before")
        return self._start(found.failed, base)

    def _judged_before(self, forge: HostedForge) -> str | None:
        """The commit to compare with: the first parent, or the one before it if that was never judged itself."""
        row = self.row
        if not forge.bring(row["branch"], row["head"]):
            raise ForgeUnavailable(f"commit {row['head'][:12]} of branch {row['branch']} is not in the mirror yet")
        parents = forge.before(row["head"], MOST_BEFORE)
        with self.database.team(row["team_id"]) as connection:
            passed_over = unjudged(connection, row["source"], row["branch"], parents)
        return next((commit for commit in parents if commit not in passed_over), None)

    def _start(self, failed: Sequence[Check], base: str | None) -> Looked:
        """Starts the task, in one transaction with the row's change. Raises `Overloaded`."""
        row = self.row
        names = sorted({name_of(check) for check in failed})
        task = TaskIntent(
            Target(name=row["source"]),
            title=title_of(row["branch"], names),
            body=body_of(row["branch"], row["head"], base, failed),
            url=next((url for check in failed if (url := web_address(check.url))), None),
        )
        digest = hashlib.sha256(f"{row['branch']} {row['head']}".encode()).digest()
        delivery = Delivery(ORIGIN, str(row["id"]), f"failed {row['branch']}"[:200], digest)
        with self.database.team(row["team_id"]) as connection:
            # Held until the end of the transaction: of two heads at once, the second sees the first one's task.
            name = f"penstock watched {row['team_id']} {row['source']} {row['branch']}"
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
            if not self._is_pending(connection):
                return Looked(row["id"], row["branch"], WatchState.PENDING, "another process has looked at it")
            if (reason := self._not_now(connection, names)) is not None:
                return self._ends_in(connection, WatchState.IGNORED, reason)
            receipt = receive(
                connection,
                self.log,
                row["team_id"],
                delivery,
                task,
                must_know_source=True,
                backlog=self.backlog,
            )
            connection.execute(
                "UPDATE watched_checks SET state = %s, task_id = %s, failed = %s, reason = NULL, decided_at = now() "
                "WHERE id = %s",
                (WatchState.STARTED, receipt.task_id, names, row["id"]),
            )
        return Looked(row["id"], row["branch"], WatchState.STARTED, f"task {receipt.task_id} is about it")

    def _is_pending(self, connection: Connection[TupleRow]) -> bool:
        found = connection.execute("SELECT state FROM watched_checks WHERE id = %s FOR UPDATE", (self.row["id"],))
        state = found.fetchone()
        return state is not None and state[0] == WatchState.PENDING

    def _not_now(self, connection: Connection[TupleRow], names: Sequence[str]) -> str | None:
        """Why no other task is started for this branch."""
        row = self.row
        given = {
            "team": row["team_id"],
            "source": row["source"],
            "branch": row["branch"],
            "open": [str(state) for state in OPEN_TASK_STATES],
        }
        held = connection.execute(_TASKS.encode(), given).fetchall()
        for task, is_open, _ in held:
            if is_open:
                return f"starts no other task: task {task} about this branch is still open"
        known = {name for *_, failed in held for name in failed}
        if known.issuperset(names):
            return f"starts no other task: task {held[0][0]} was about these checks less than a day ago"
        return None

    def _ends(self, state: WatchState, reason: str) -> Looked:
        with self.database.system() as connection:
            return self._ends_in(connection, state, reason)

    def _ends_in(self, connection: Connection[TupleRow], state: WatchState, reason: str) -> Looked:
        connection.execute(
            "UPDATE watched_checks SET state = %s, reason = %s, tries = 0, decided_at = now() "
            "WHERE id = %s AND state = 'pending'",
            (state, clean(reason)[:1000], self.row["id"]),
        )
        return Looked(self.row["id"], self.row["branch"], state, reason)

    def _waits(self, seconds: float, why: str, *, counted: bool = False) -> Looked:
        """Looks again after `seconds`; only a `counted` try is one of `MAX_TRIES`."""
        with self.database.system() as connection:
            connection.execute(
                "UPDATE watched_checks SET tries = greatest(0, tries - %s), reason = %s, "
                "next_try_at = now() + %s * interval '1 second' WHERE id = %s AND state = 'pending'",
                (0 if counted else 1, clean(why)[:1000], seconds, self.row["id"]),
            )
        return Looked(self.row["id"], self.row["branch"], WatchState.PENDING, why)


def name_of(check: Check) -> str:
    """A check's name, on one line."""
    return cut_title(clean(check.name), NAME_CHARACTERS)


def title_of(branch: str, names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    shown = ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return cut_title(f"Checks fail on {branch}: {shown}", TITLE_CHARACTERS)


def body_of(branch: str, head: str, base: str | None, failed: Sequence[Check]) -> str:
    """Which checks fail, where they are shown, and the end of each one's log."""
    names = [name_of(check) for check in failed]
    before = f" They did not fail at commit {base}." if base else ""
    links = [f"- {name}: {url}" for name, check in zip(names, failed, strict=True) if (url := web_address(check.url))]
    said = checks_text(
        [(name, clean(check.log)) for name, check in zip(names, failed, strict=True)],
        where=f"branch {branch}",
        log_characters=LOG_CHARACTERS,
    )
    parts = [f"These checks fail at commit {head} of branch {branch}.{before}", "\n".join(links), said]
    return cut_body("\n\n".join(part for part in parts if part), BODY_BYTES)
