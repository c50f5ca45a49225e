"""A session's tokens in a file that several processes use: an access token for minutes, and the refresh token that is
exchanged for the next pair.

One process refreshes for all: it holds a lock on the file beside, and whoever waited for it finds the new token in the
file. A refresh token is good once, so the new pair is on the disk before it is used. A process that is killed between
the server's answer and that is harmless if another one refreshes within the seconds that the server allows for it
(docs/access.md); after that the session is over, and somebody has to sign in again.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Annotated

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from threads.client.transport import Busy, Offline, Tokens, seconds_of

REFRESH_SECONDS = 30.0
_MOST_BYTES = 64 << 10

_Token = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")]


class NotASession(ValueError):
    """The file holds no session; the message says what it must hold."""


class _Pair(BaseModel):
    """What `POST /sessions` and `POST /sessions/refresh` answer, as far as a client needs it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    session: _Token
    access_token: _Token
    refresh_token: _Token
    expires_in: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class SessionFile:
    """The session in a file, as `POST /sessions` of the gateway at `address` gave it. Raises `NotASession`."""

    def __init__(self, path: Path, address: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.path = path
        self._address = address
        self._transport = transport
        pair = self._read()
        self.session = pair.session
        self._current = pair.access_token

    def tokens(self) -> Tokens:
        return Tokens(self._current, self._refreshed)

    def _refreshed(self) -> str | None:
        """The access token that follows the current one; None if the session is over. Raises `Offline`, `Busy`."""
        with self.path.with_name(self.path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            pair = self._read()
            age = time.time() - self.path.stat().st_mtime
            if pair.access_token == self._current or not 0 <= age < pair.expires_in:  # no other process was quicker
                following = self._exchanged(pair.refresh_token)
                if following is None:
                    return None
                self._write(following)
                pair = following
            self._current = pair.access_token
        return self._current

    def _exchanged(self, token: str) -> _Pair | None:
        try:
            with httpx.Client(
                base_url=self._address, timeout=REFRESH_SECONDS, trust_env=False, transport=self._transport
            ) as client:
                answer = client.post("/sessions/refresh", json={"refresh_token": token})
        except httpx.HTTPError as error:
            raise Offline(f"no answer from the server ({type(error).__name__})") from error
        if answer.status_code == 429 or answer.status_code >= 500:
            raise Busy(seconds_of(answer.headers.get("retry-after")))
        if answer.status_code != 200:
            return None
        try:
            return _Pair.model_validate_json(answer.content)
        except ValidationError as error:
            raise Offline("the answer is not whole") from error

    def _read(self) -> _Pair:
        wanted = f"{self.path} holds no session: it must be what `POST /sessions` answered"
        try:
            with self.path.open("rb") as file:
                return _Pair.model_validate_json(file.read(_MOST_BYTES))
        except (ValidationError, OSError):
            raise NotASession(wanted) from None

    def _write(self, pair: _Pair) -> None:
        """Replaces the file as a whole: a kill leaves the old pair or the new one."""
        fresh = self.path.with_name(self.path.name + ".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(pair.model_dump(), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
