"""Whose webhook an address with a team's name is, and which secrets it may be signed with.

Kept in memory for a few seconds, so that requests by anybody cost no query. Unknown teams and teams without a secret
have random ones, so that both are answered alike, after the same work.
"""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from core.credentials import CredentialsError
from core.database import Database
from core.signatures import SIGNING
from core.team_webhooks import MOST, SENDERS, new_secret, read_secrets, teams_with_secrets

SECONDS = 5.0
"""After which a new or changed secret counts."""

_logger = structlog.get_logger("gateway")


@dataclass(frozen=True)
class TeamSecrets:
    """`team_id` is None if there is no such team, or it has no secret for this sender; there are `MOST` secrets all the
    same."""

    team_id: uuid.UUID | None
    secrets: tuple[str, ...] = field(repr=False)


class TeamWebhooks:
    """`folder` is that of all secrets. Safe for several threads."""

    def __init__(self, folder: Path, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._known: dict[tuple[str, str], TeamSecrets] = {}
        self._nobody = {sender: TeamSecrets(None, _padded(sender, ())) for sender in SENDERS}

    def find(self, team: str, sender: str) -> TeamSecrets:
        """Raises psycopg's errors when the teams must be looked up and the database cannot be reached."""
        with self._lock:
            if self._clock() >= self._until:
                self._known = self._read()
                self._until = self._clock() + SECONDS
            return self._known.get((team.lower(), sender), self._nobody[sender])

    def _read(self) -> dict[tuple[str, str], TeamSecrets]:
        try:
            teams = teams_with_secrets(self._folder)
        except OSError as error:
            _logger.warning("secrets of teams' webhooks cannot be read", problem=error.strerror)
            return {}
        if not teams:
            return {}
        with self._database.system() as connection:
            rows = connection.execute(
                "SELECT id, lower(name) FROM teams WHERE id = ANY(%s) AND removed_at IS NULL", (teams,)
            ).fetchall()
        found = {}
        for team_id, name in rows:
            for sender in SENDERS:
                try:
                    known = read_secrets(self._folder, team_id, sender)
                except CredentialsError as error:
                    _logger.warning("a secret of a team's webhook cannot be used", team=name, problem=str(error))
                    continue
                if known:
                    found[name, sender] = TeamSecrets(team_id, _padded(sender, known))
        return found


def _padded(sender: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """With random secrets of the same kind, so that checking a signature takes as long for every team."""
    kind = "generic" if known and known[0].startswith(SIGNING) else sender
    return known + tuple(new_secret(kind) for _ in range(MOST - len(known)))
