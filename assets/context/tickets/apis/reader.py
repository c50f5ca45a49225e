"""Sends GET requests to one service, with timeouts and bounded answers, waiting for rate limits.

Redirects are not followed and the URLs of further pages must be on the same host, so that the token is sent
nowhere else. No message contains the token.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from core.http import Breaker, Limits, Pauses, RateLimited, RequestRefused, Service, ServiceUnavailable

MOST_BYTES = 64 << 20
TRIES = 5
SECONDS = 120.0
_PAUSES = Pauses(first=1.0, longest=30.0, longest_asked=900.0, unsaid=60.0)
"""In seconds. A longer rate limit ends the import; the next import continues from there."""

_NEXT = re.compile(r'<([^<>]+)>\s*;[^,]*\brel="?next"?')


class ApiError(RuntimeError):
    """The service did not return what was requested; the message says what to do, and never contains the token.
    `pause` is how many seconds it asks to be left alone. `unavailable`: it did not answer, so others of its projects
    need not be tried now."""

    def __init__(
        self, message: str, status: int | None = None, *, pause: float | None = None, unavailable: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.pause = pause
        self.unavailable = unavailable


@dataclass(frozen=True)
class ApiResponse:
    """The decoded body, and the URL of the next page from the `Link` header."""

    body: Any
    next: str | None


@dataclass(frozen=True)
class Patience:
    """`seconds` is the timeout of each attempt, `until` the end of all of them on the monotonic clock."""

    seconds: float = SECONDS
    tries: int = TRIES
    pauses: Pauses = _PAUSES
    until: float | None = None


class Reader:
    """A context manager. `address` is https://HOST or https://HOST/PATH; `setting` is the token's setting, for
    messages. `patience` is how long it waits for answers. Raises `ApiError` for any other address."""

    def __init__(
        self,
        address: str,
        headers: Mapping[str, str],
        *,
        setting: str,
        sleep: Callable[[float], None] = time.sleep,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise ApiError(f"{parts.hostname or address[:100]!r} is not the address of a service: write https://HOST")
        self._base = address.rstrip("/")
        self._origin = (parts.scheme, parts.netloc.lower())
        self._setting = setting
        self._service = Service(
            self._base,
            headers=lambda: headers,
            remedy="try again later",
            pauses=self._patience.pauses,
            breaker=Breaker(failures=self._patience.tries + 1),
            environment_proxies=True,
            sleep=sleep,
        )

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._service.close()

    def get(self, url: str) -> ApiResponse:
        """Gets a path below the service's address, or a URL from an answer. Raises `ApiError`."""
        full = self._full(url)
        shown = urlsplit(full).path
        patience = self._patience
        limits = Limits(patience.seconds, patience.tries - 1, MOST_BYTES, until=patience.until, json=False)
        try:
            answer = self._service.answer("GET", full, limits=limits)
        except RateLimited as error:
            raise ApiError(
                f"{self._origin[1]} limits requests for the next {error.seconds:.0f} s: run the import again after "
                "that, and it continues from here",
                pause=error.seconds,
                unavailable=True,
            ) from None
        except RequestRefused as error:
            raise self._refusal(error.status, shown) from None
        except ServiceUnavailable as error:
            raise ApiError(str(error), unavailable=True) from None
        try:
            return ApiResponse(json.loads(answer.content), self._next(answer.headers.get("link"), full))
        except (ValueError, RecursionError) as error:
            raise ApiError(f"the answer to {shown} is not JSON: is this the address of the service's API?") from error

    def _full(self, url: str) -> str:
        full = url if url.startswith(("http://", "https://")) else f"{self._base}/{url.lstrip('/')}"
        parts = urlsplit(full)
        if (parts.scheme, parts.netloc.lower()) != self._origin:
            raise ApiError(f"a page of {self._origin[1]} links to another host, {parts.netloc[:100]}: not followed")
        return full

    def _next(self, link: str | None, url: str) -> str | None:
        found = _NEXT.search(link) if link else None
        return self._full(urljoin(url, found[1])) if found else None

    def _refusal(self, status: int, path: str) -> ApiError:
        host = self._origin[1]
        if status in (401, 403):
            return ApiError(
                f"{host} refuses access to {path} ({status}): set {self._setting} to a token that has access", status
            )
        if status == 404:
            return ApiError(f"{host} has no {path} that this token can read ({self._setting})", status)
        if status < 400:
            return ApiError(f"{host} says that {path} has moved ({status}): use the project's new name", status)
        return ApiError(f"{host} answered {path} with status {status}", status)
