"""Requests to a model server that may be slow, busy or gone: bounded in time and size, repeated when that can help.

A request is repeated after connection errors, time-outs, 408, 429 and 5xx, with exponential back-off and
full jitter, or when the server says (`Retry-After`, RFC 9110 section 10.2.3). After several failures in a
row a circuit breaker refuses at once for a while, so that a dead server costs its callers no time.
"""

import json
import os
import random
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from core.embedding.protocol import EmbedderUnavailable

if TYPE_CHECKING:
    import httpx

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
LONGEST_WAIT = 30.0
"""Seconds; a server that asks for a longer pause is taken for unavailable."""


class RequestRefused(EmbedderUnavailable):
    """The server will not answer this request, however often it is sent."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Breaker:
    """Opens after `failures` in a row, lets one caller try after `pause` seconds, closes when that one succeeds."""

    def __init__(self, failures: int = 5, pause: float = 15.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._until = 0.0
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Seconds until the next try is allowed; 0 allows this caller to try."""
        with self._lock:
            if self._failures < self._limit:
                return 0.0
            left = self._until - self._clock()
            if left <= 0:
                self._until = self._clock() + self._pause  # the others wait for this one's result
            return max(0.0, left)

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            self._until = self._clock() + self._pause


class Calls:
    """Talks JSON to one server. Safe for use by several threads, and after a fork."""

    def __init__(self, base: str, *, key_variable: str | None, breaker: Breaker | None = None) -> None:
        self.base = base.rstrip("/")
        self._key_variable = key_variable
        self._breaker = breaker or Breaker()
        self._client: httpx.Client | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout: float,
        retries: int,
        most_bytes: int,
        on_failure: Callable[[float, bool], None] = lambda seconds, again: None,
        until: float | None = None,
    ) -> Any:
        """The answer's JSON. Raises `RequestRefused` for a 4xx and `EmbedderUnavailable` when tries are used up.

        `on_failure` is told of each failed try: its seconds and whether another follows. `until`, on the
        monotonic clock, bounds all tries and pauses together.
        """
        for number in range(retries + 1):
            if (left := self._breaker.wait()) > 0:
                raise EmbedderUnavailable(
                    f"{self.base} has failed several times in a row; it is tried again in {left:.0f} s"
                )
            began = time.monotonic()
            allowed = timeout if until is None else max(0.05, min(timeout, until - began))
            problem, asked = self._try(method, path, body, allowed, most_bytes)
            if problem is None:
                self._breaker.succeeded()
                return asked
            self._breaker.failed()
            pause = asked if asked is not None else random.uniform(0, min(8.0, 0.25 * 2**number))  # noqa: S311
            last = number == retries or (until is not None and time.monotonic() + pause >= until)
            on_failure(time.monotonic() - began, not last)
            if last:
                tries = f" ({number + 1} tries)" if number else ""
                raise EmbedderUnavailable(f"{self.base}{path}: {problem}{tries}: is the model server up?")
            if pause > LONGEST_WAIT:
                raise EmbedderUnavailable(f"{self.base}{path}: {problem}, and asks for a pause of {pause:.0f} s")
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _try(self, method: str, path: str, body: Any, timeout: float, most_bytes: int) -> tuple[str | None, Any]:
        """(None, answer), or (what failed, seconds that the server asks to wait or None)."""
        import httpx

        deadline = time.monotonic() + timeout
        try:
            with self._open().stream(
                method, self.base + path, json=body, timeout=timeout, headers=self._headers()
            ) as response:
                content = bytearray()
                for part in response.iter_bytes():
                    content += part
                    if len(content) > most_bytes:
                        raise EmbedderUnavailable(f"{self.base}{path} answered with more than {most_bytes} bytes")
                    if time.monotonic() > deadline:
                        # A server that drips never lets a read time out.
                        return f"no whole answer within {timeout:g} s", None
        except httpx.TimeoutException:
            return f"no answer within {timeout:g} s", None
        except httpx.TransportError as error:
            return f"{type(error).__name__}: {error}", None
        if response.status_code in _PASSING:
            return f"status {response.status_code}: {_said(content)}", _retry_after(response.headers.get("retry-after"))
        if response.status_code >= 300:
            self._breaker.succeeded()
            raise RequestRefused(
                f"{self.base}{path} answered {response.status_code}: {_said(content)}", response.status_code
            )
        try:
            return None, json.loads(content)
        except ValueError:
            return "the answer is not JSON", None

    def _headers(self) -> dict[str, str]:
        if self._key_variable is None:
            return {}
        key = os.environ.get(self._key_variable)
        if not key:
            raise EmbedderUnavailable(f"{self.base} needs a key: set the environment variable {self._key_variable}")
        return {"Authorization": f"Bearer {key}"}

    def _open(self) -> "httpx.Client":
        import httpx

        with self._lock:
            if self._client is None or self._pid != os.getpid():
                # Neither proxies nor credentials of the environment: the address is the operator's own.
                self._client = httpx.Client(trust_env=False, follow_redirects=False)
                self._pid = os.getpid()
            return self._client

    def close(self) -> None:
        with self._lock:
            if self._client is not None and self._pid == os.getpid():
                self._client.close()
            self._client = None


def _said(content: bytearray) -> str:
    """What a server says about an error, in one short line."""
    try:
        told = json.loads(content)
        while isinstance(told, dict):
            told = told.get("error", told.get("message", told.get("detail", "")))
        text = str(told)
    except ValueError:
        text = content[:400].decode("utf-8", "replace")
    return " ".join(text.split())[:300] or "no reason given"


def _retry_after(value: str | None) -> float | None:
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
