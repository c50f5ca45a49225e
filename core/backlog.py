"""How many tasks may wait for a run before no more are accepted: back-pressure that refuses before it stores.

Each source has a limit of its own, so that one that is flooded is held back while the others go on.
"""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection


@dataclass(frozen=True)
class Backlog:
    """The most tasks that may wait for a run: of one source, and of a team. 0: any number."""

    of_source: int = 0
    of_team: int = 0


ANY_NUMBER = Backlog()


class Overloaded(RuntimeError):
    """So many tasks wait that another is not accepted now; nothing was stored. The message names the source, `seconds`
    is when to try again."""

    seconds = 60.0


def require_room(connection: "Connection[Any]", team_id: uuid.UUID, source: str, backlog: Backlog) -> None:
    """Raises `Overloaded`. Deliveries at the same moment may pass the limit by their number."""
    for most, whose, condition in (
        (backlog.of_source, f"source {source}", b" AND source = %(source)s"),
        (backlog.of_team, "all sources together", b""),
    ):
        if not most:
            continue
        row = connection.execute(
            b"SELECT count(*) FROM (SELECT FROM tasks WHERE team_id = %(team)s AND state = 'queued'"
            + condition
            + b" LIMIT %(most)s) AS waiting",
            {"team": team_id, "source": source, "most": most},
        ).fetchone()
        if row is not None and row[0] >= most:
            raise Overloaded(f"{most} tasks of {whose} wait already, and no more are accepted until some have ended")
