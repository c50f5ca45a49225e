"""Authenticates as a GitHub App: its private key signs for a token of one installation, which lasts an hour.

Source: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from core.forge.github import api_address
from core.forge.host import PAUSES, READ, WRITE, translated
from core.forge.protocol import ForgeUnavailable
from core.http import Service
from core.payload import Moment, Number, Payload, Text, parse

_JWT_SECONDS = 540
_CLOCK_SECONDS = 60
"""GitHub refuses a signature that is, by its own clock, from the future or for longer than ten minutes."""
_SPARE_SECONDS = 600.0
"""A token is replaced this long before it expires, so that whoever was given it can end its work."""


class _App(Payload):
    slug: Text


class _Installation(Payload):
    id: Number


class _Token(Payload):
    token: Text
    expires_at: Moment


class GitHubApp:
    """The app `app_id` at the forge `address`. `key` is the PEM file of its private key. Safe for several threads."""

    def __init__(self, address: str, app_id: str, key: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._app_id = app_id
        self._key = key
        self._clock = clock
        self._remedy = "check PENSTOCK_GITHUB_APP_ID, its key, and that the app is installed in the repository"
        self._service = Service(
            api_address(address),
            headers=lambda: {"Authorization": f"Bearer {self._signature()}"},
            pauses=PAUSES,
            environment_proxies=True,
        )
        self._tokens: dict[str, tuple[str, float]] = {}
        self._login = ""
        self._lock = threading.Lock()

    def token(self, repository: str) -> str:
        """A token for this repository alone, valid for at least ten minutes. Raises `ForgeUnavailable`,
        `PublicationRefused`."""
        with self._lock:
            token, until = self._tokens.get(repository, ("", 0.0))
            if until - _SPARE_SECONDS <= self._clock():
                token, until = self._new_token(repository)
                self._tokens[repository] = token, until
            return token

    def login(self) -> str:
        """The account that the app's comments are written by. Raises as `token` does."""
        with self._lock:
            if not self._login:
                with self._translated():
                    self._login = f"{parse(_App, self._service.json('GET', '/app', limits=READ), 'app').slug}[bot]"
            return self._login

    def _new_token(self, repository: str) -> tuple[str, float]:
        with self._translated():
            found = self._service.json("GET", f"/repos/{quote(repository)}/installation", limits=READ)
            number = parse(_Installation, found, "installation").id
            made = self._service.json(
                "POST",
                f"/app/installations/{number}/access_tokens",
                {"repositories": [repository.partition("/")[2]]},
                limits=WRITE,
            )
            token = parse(_Token, made, "token")
        expires = token.expires_at or datetime.fromtimestamp(0)
        return token.token, expires.timestamp()

    def _signature(self) -> str:
        import jwt

        now = int(self._clock())
        claims = {"iat": now - _CLOCK_SECONDS, "exp": now + _JWT_SECONDS, "iss": self._app_id}
        try:
            return jwt.encode(claims, self._key.read_text(encoding="ascii"), algorithm="RS256")
        except (OSError, ValueError, TypeError, jwt.PyJWTError) as error:
            # The error of a library may quote the key.
            raise ForgeUnavailable(
                f"{self._key} cannot be used as the private key of a GitHub App ({type(error).__name__}): "
                "it must be the PEM file that GitHub gave"
            ) from None

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._service.base, self._remedy, lambda refusal: False)
