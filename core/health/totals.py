"""Running totals: what metrics count of runs, which end before anybody could scrape them.

They are written in the transaction that they count, so that a killed process counts nothing twice. A transaction counts
once, as its last lock: two that lock in different orders would wait for each other.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from psycopg import Connection

LABEL_CHARACTERS = 200
RESULT_BUCKETS = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)
"""Upper bounds of the histogram of event-to-result latencies, in seconds."""


class Total(StrEnum):
    """What is counted; in brackets, the label."""

    ATTEMPTS = "attempts"
    """Attempts that ended [outcome]."""
    RELAUNCHES = "relaunches"
    """Attempts that were given back to be launched again [why]."""
    RESULTS = "results"
    """First attempts that ended by themselves [bucket of their event-to-result latency]."""
    RESULT_SECONDS = "result_seconds"
    MODEL_REQUESTS = "model_requests"
    """[model], as below."""
    MODEL_RETRIES = "model_retries"
    PROMPT_TOKENS = "prompt_tokens"
    COMPLETION_TOKENS = "completion_tokens"
    MODEL_MONEY = "model_money"
    MODEL_SECONDS = "model_seconds"
    SANDBOX_SESSIONS = "sandbox_sessions"
    """[backend]"""
    SANDBOX_COMMANDS = "sandbox_commands"
    """[backend]"""
    SANDBOX_KILLED = "sandbox_killed"
    """Commands that a limit ended [limit]."""
    SANDBOX_REFUSED = "sandbox_refused"
    """Sessions that could not be opened, or failed [why]."""


class Counts(dict[tuple[Total, str], float]):
    """Amounts by what is counted and its label."""

    def note(self, name: Total, label: str = "", amount: float = 1.0) -> None:
        self[name, label] = self.get((name, label), 0.0) + amount

    def take(self) -> "Counts":
        """What was noted since the last call."""
        taken = Counts(self)
        self.clear()
        return taken

    def plus(self, other: Mapping[tuple[Total, str], float] | None) -> "Counts":
        both = Counts(self)
        for key, amount in (other or {}).items():
            both.note(*key, amount)
        return both


_ADD = """
INSERT INTO totals AS held (team_id, name, label, slot, value)
SELECT %s, name, label, pg_backend_pid() %% 8, value
FROM unnest(%s::text[], %s::text[], %s::float8[]) AS added (name, label, value) ORDER BY name, label
ON CONFLICT (team_id, name, label, slot) DO UPDATE SET value = held.value + excluded.value
"""


def add(connection: Connection[Any], team_id: UUID, counts: Mapping[tuple[Total, str], float]) -> None:
    """Adds amounts in the caller's transaction, of the team or of the platform."""
    merged = Counts()
    for (name, label), amount in counts.items():
        if amount > 0:
            merged.note(name, label.replace("\0", "")[:LABEL_CHARACTERS], amount)
    if merged:
        names, labels = zip(*merged, strict=True)
        connection.execute(_ADD, (team_id, list(names), list(labels), list(merged.values())))


def ended(outcome: str, seconds: float | None) -> Counts:
    """The counts of an attempt that ended; `seconds` since its event, where they are a latency."""
    counts = Counts()
    counts.note(Total.ATTEMPTS, outcome)
    if seconds is not None:
        bound = next((bound for bound in RESULT_BUCKETS if seconds <= bound), None)
        counts.note(Total.RESULTS, "+Inf" if bound is None else f"{bound:g}")
        counts.note(Total.RESULT_SECONDS, "", max(0.0, seconds))
    return counts
