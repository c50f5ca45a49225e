"""Who makes a request: the team of an API token, as the gateway checks it.

A token that was valid is believed for `FRESH` seconds; then it is checked again while it is still believed, so that no
request waits for the database. While the database is away, tokens that were valid go on for `AWAY` seconds.
"""

import asyncio
import time
import uuid
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from core.access.roles import Role
from core.access.tokens import check_token
from core.credentials import TOKEN_PREFIX, token_hash
from core.database import Database
from core.events import DEFAULT_TEAM
from core.models.pool import Refusal

FRESH = 10.0
STALE = 20.0
"""After so many seconds a request waits for the check: a revoked token ends by then."""
AWAY = 3600.0
MOST = 10_000
UNKNOWN_SECONDS = 5.0
"""How long an unknown token is refused without asking again."""
MOST_CHECKS = 32
"""Checks that may wait for the database at once; further ones are answered 503."""


@dataclass(frozen=True, slots=True)
class Caller:
    team_id: uuid.UUID
    team: str
    role: Role


ANYBODY = Caller(DEFAULT_TEAM, "default", Role.OPERATOR)
"""The caller where access is open."""


@dataclass(slots=True)
class _Known:
    caller: Caller | None
    at: float


class Access:
    """Without a database, everybody is the default team: the configuration allows that on loopback only."""

    def __init__(self, database: Database | None) -> None:
        self._database = database
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._checks: dict[bytes, asyncio.Task[Caller | None]] = {}
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="tokens")
        self._failed_at = float("-inf")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def caller(self, authorization: str | None) -> Caller:
        """Raises `Refusal` (401, 503)."""
        if self._database is None:
            return ANYBODY
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Refusal(401, "token", "a team's API token is required: header `Authorization: Bearer pst_...`")
        if not token.startswith(TOKEN_PREFIX) or len(token) > 200 or not token.isascii():
            raise Refusal(401, "token", "the token is unknown, expired or revoked")
        digest = token_hash(token)
        known, now = self._known.get(digest), time.monotonic()
        if known is not None:
            age = now - known.at
            patience = AWAY if now - self._failed_at < STALE else STALE
            if known.caller is not None and age < patience:
                if age > FRESH and now - self._failed_at > 1.0:
                    self._check(digest, token)
                return known.caller
            if known.caller is None and age < UNKNOWN_SECONDS:
                raise Refusal(401, "token", "the token is unknown, expired or revoked")
        if len(self._checks) >= MOST_CHECKS and digest not in self._checks:
            raise Refusal(503, "unavailable", "too many tokens are being checked: try again", 1.0)
        try:
            found = await asyncio.shield(self._check(digest, token))
        except psycopg.Error:
            if known is not None and known.caller is not None and now - known.at < AWAY:
                return known.caller
            raise Refusal(503, "unavailable", "the database cannot be reached to check the token", 5.0) from None
        if found is None:
            raise Refusal(401, "token", "the token is unknown, expired or revoked")
        return found

    def _check(self, digest: bytes, token: str) -> "asyncio.Task[Caller | None]":
        """The check of a token that is under way, or a new one."""
        task = self._checks.get(digest)
        if task is None:
            task = self._checks[digest] = asyncio.get_running_loop().create_task(self._checked(digest, token))
            task.add_done_callback(lambda done: self._ended(digest, done))
        return task

    def _ended(self, digest: bytes, task: "asyncio.Task[Caller | None]") -> None:
        self._checks.pop(digest, None)
        if not task.cancelled():
            task.exception()  # a check in the background that failed is made again by the next request

    async def _checked(self, digest: bytes, token: str) -> Caller | None:
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, token)
        except psycopg.Error:
            self._failed_at = time.monotonic()
            raise
        self._known[digest] = _Known(found, time.monotonic())
        self._known.move_to_end(digest)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return found

    def _ask(self, token: str) -> Caller | None:
        assert self._database is not None  # noqa: S101
        with self._database.system() as connection:
            holder = check_token(connection, token)
            if holder is None:
                return None
            row = connection.execute("SELECT name FROM teams WHERE id = %s", (holder.team_id,)).fetchone()
        return Caller(holder.team_id, str(row[0]) if row else "", holder.role)
