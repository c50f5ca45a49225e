"""One remark on a pull request, or its failed checks: the row, and what becomes of it."""

import uuid
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.results.publish import MAX_TRIES, pause_after
from core.database import Database
from core.states import FeedbackState


@dataclass(frozen=True)
class Followed:
    """A remark after a try: `outcome` says what was done, or why not (yet)."""

    id: uuid.UUID
    state: FeedbackState
    outcome: str


def set_state(database: Database, row: dict[str, Any], state: FeedbackState, outcome: str) -> Followed:
    with database.system() as connection:
        return set_state_in(connection, row, state, outcome)


def set_state_in(connection: Connection[TupleRow], row: dict[str, Any], state: FeedbackState, outcome: str) -> Followed:
    connection.execute(
        "UPDATE feedback SET state = %s, outcome = %s, body = %s, ticket_key = %s, tries = 0, next_try_at = now() "
        "WHERE id = %s AND state = %s",
        (state, outcome, row["body"], row["ticket_key"], row["id"], row["state"]),
    )
    return Followed(row["id"], state, outcome)


def try_again(database: Database, row: dict[str, Any], trouble: Exception) -> Followed:
    """Tries once more later, or gives it up after `MAX_TRIES`."""
    if row["tries"] >= MAX_TRIES:
        return set_state(database, row, FeedbackState.DEAD_LETTERED, str(trouble))
    with database.system() as connection:
        connection.execute(
            "UPDATE feedback SET next_try_at = now() + %s * interval '1 second' WHERE id = %s",
            (pause_after(row["tries"], trouble), row["id"]),
        )
    return Followed(row["id"], FeedbackState(row["state"]), str(trouble))


def wait(database: Database, row: dict[str, Any], seconds: float, why: str) -> Followed:
    with database.system() as connection:
        return wait_in(connection, row, seconds, why)


def wait_in(connection: Connection[TupleRow], row: dict[str, Any], seconds: float, why: str) -> Followed:
    """Looks again after `seconds`, which is no failed try."""
    connection.execute(
        "UPDATE feedback SET tries = greatest(0, tries - 1), next_try_at = now() + %s * interval '1 second' "
        "WHERE id = %s",
        (seconds, row["id"]),
    )
    return Followed(row["id"], FeedbackState(row["state"]), why)
