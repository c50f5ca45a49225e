"""GET requests to one service: with time limits, bounded answers, patience with rate limits, and no word of its token.

Redirects are not followed and the addresses of further pages must be on the same host, so that the
token goes nowhere else.
"""

import email.utils
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

MOST_BYTES = 64 << 20
TRIES = 5
TIMEOUT = httpx.Timeout(60.0, connect=15.0)
MOST_WAIT = 900.0
"""A rate limit that lasts longer ends the import; the next one goes on from there."""

_NEXT = re.compile(r'<([^<>]+)>\s*;[^,]*\brel="?next"?')


class ApiError(RuntimeError):
    """The service did not give what was asked for; the message says what to do, and never holds the token."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class ApiResponse:
    """The decoded body, and the address of the next page as the service's `Link` header gives it."""

    body: Any
    next: str | None


class Reader:
    """Use as a context manager. `address` may have a path below which the API lies."""

    def __init__(
        self, address: str, headers: Mapping[str, str], *, setting: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise ApiError(f"{parts.hostname or address[:100]!r} is no address of a service: write https://HOST")
        self._base = address.rstrip("/")
        self._origin = (parts.scheme, parts.netloc.lower())
        self._setting = setting
        self._sleep = sleep
        self._client = httpx.Client(headers=dict(headers), timeout=TIMEOUT, follow_redirects=False)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, url: str) -> ApiResponse:
        """`url` is a path below the service's address, or one that an answer named. Raises `ApiError`."""
        full = self._full(url)
        shown = urlsplit(full).path
        problem = "no answer"
        for attempt in range(TRIES):
            try:
                status, headers, raw = self._request(full)
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}"
                self._sleep(min(2.0**attempt, 30.0))
                continue
            wait = _wait_of(status, headers)
            if wait is not None:
                if wait > MOST_WAIT:
                    raise ApiError(
                        f"{self._origin[1]} limits requests for the next {wait:.0f} s: run the import again after "
                        "that, it goes on from here",
                        status,
                    )
                problem = "its rate limit"
                self._sleep(wait)
            elif status >= 500:
                problem = f"status {status}"
                self._sleep(min(2.0**attempt, 30.0))
            elif status >= 300:
                raise self._refusal(status, shown)
            else:
                return ApiResponse(_decoded(raw, shown), self._next(headers.get("link"), full))
        raise ApiError(f"{self._origin[1]} did not answer {shown} in {TRIES} tries ({problem}): try again later")

    def _request(self, url: str) -> tuple[int, httpx.Headers, bytes]:
        with self._client.stream("GET", url) as response:
            raw = bytearray()
            for piece in response.iter_bytes():
                raw += piece
                if len(raw) > MOST_BYTES:
                    raise ApiError(f"{self._origin[1]} answered with more than {MOST_BYTES >> 20} MiB")
            return response.status_code, response.headers, bytes(raw)

    def _full(self, url: str) -> str:
        full = url if url.startswith(("http://", "https://")) else f"{self._base}/{url.lstrip('/')}"
        parts = urlsplit(full)
        if (parts.scheme, parts.netloc.lower()) != self._origin:
            raise ApiError(f"a page of {self._origin[1]} names one of another host, {parts.netloc[:100]}: not followed")
        return full

    def _next(self, link: str | None, url: str) -> str | None:
        found = _NEXT.search(link) if link else None
        return self._full(urljoin(url, found[1])) if found else None

    def _refusal(self, status: int, path: str) -> ApiError:
        host = self._origin[1]
        if status in (401, 403):
            return ApiError(
                f"{host} refuses access to {path} ({status}): set {self._setting} to a token that may", status
            )
        if status == 404:
            return ApiError(f"{host} has no {path} that this token may see ({self._setting})", status)
        if status < 400:
            return ApiError(f"{host} says that {path} is elsewhere ({status}): use the project's new name", status)
        return ApiError(f"{host} answered {path} with status {status}", status)


def _wait_of(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds until a rate limit ends, None without one. GitHub: https://docs.github.com/rest/using-the-rest-api/
    rate-limits-for-the-rest-api; `Retry-After`: RFC 9110, 10.2.3."""
    if status not in (403, 429, 503):
        return None
    after = headers.get("retry-after")
    if after is not None:
        if re.fullmatch(r"\d{1,9}", after.strip()):
            return float(after)
        try:
            return max(0.0, email.utils.parsedate_to_datetime(after).timestamp() - time.time())
        except (TypeError, ValueError):
            return 60.0
    remaining = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining"))
    reset = headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", ""))
    if remaining == "0" and re.fullmatch(r"\d{1,12}", reset):
        return max(1.0, float(reset) - time.time())
    return 60.0 if status == 429 else None


def _decoded(raw: bytes, path: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"the answer to {path} is not JSON: is this the address of the service's API?") from error
