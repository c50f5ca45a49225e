"""Sends a request within its limits, and retries when that can help. Imports httpx and tenacity: import it late."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

from core.http.breaker import Breaker
from core.http.errors import RateLimited, RequestRefused, ServerFailed, ServiceUnavailable
from core.http.limits import PASSING, Limits, Pauses, asked_pause


class _Passing(Exception):
    """An attempt failed, and a retry may succeed. `pause` is what the service requests, in seconds. `worked`: the
    service may have done what was asked."""

    def __init__(self, problem: str, pause: float | None = None, *, worked: bool = True, status: int = 0) -> None:
        super().__init__(problem)
        self.pause, self.worked, self.status = pause, worked, status
        self.took = 0.0


class Endpoint(Protocol):
    """What a transport needs of its service: see `core.http.service.Service`."""

    base: str
    remedy: str
    pauses: Pauses
    breaker: Breaker
    sleep: Callable[[float], None]

    def headers(self) -> dict[str, str]: ...

    def client(self) -> httpx.Client: ...


class Transport(httpx.BaseTransport):
    """An httpx transport for one service. It raises the errors of `core.http.errors` instead of httpx's own."""

    def __init__(self, service: Endpoint, limits: Limits) -> None:
        self._service = service
        self._limits = limits

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        service, limits = self._service, self._limits
        given = service.headers()
        request.headers.pop("authorization", None)  # a client may have found one in the environment
        request.headers.update(given)
        where = str(request.url.copy_with(query=None, fragment=None))
        secrets = tuple(value.rpartition(" ")[2] for name, value in given.items() if name.lower() in _CREDENTIALS)
        attempts = Retrying(
            sleep=service.sleep,
            stop=_stop(limits),
            wait=self._pause,
            retry=retry_if_exception_type(_Passing),
            before_sleep=lambda state: _told(limits, _failure(state), again=True),
            reraise=True,
        )
        try:
            return attempts(self._try, request, where, secrets)
        except _Passing as error:
            _told(limits, error, again=False)
            number = attempts.statistics.get("attempt_number", 1)
            tries = f" ({number} tries)" if number > 1 else ""
            if error.status >= 500:
                raise ServerFailed(f"{where}: {error}{tries}", service.remedy, error.status) from None
            raise ServiceUnavailable(f"{where}: {error}{tries}: {service.remedy}") from None

    def _pause(self, state: RetryCallState) -> float:
        asked, pauses = _failure(state).pause, self._service.pauses
        return asked if asked is not None else wait_random_exponential(pauses.first, pauses.longest)(state)

    def _try(self, request: httpx.Request, where: str, secrets: tuple[str, ...]) -> httpx.Response:
        breaker = self._service.breaker
        if (left := breaker.wait()) > 0:
            raise ServiceUnavailable(
                f"{self._service.base} has failed several times in a row; the next attempt is in {left:.0f} s"
            )
        began = time.monotonic()
        try:
            answer = self._sent(request, where, began)
            self._check(answer, where, secrets)
        except _Passing as error:
            breaker.failed()
            error.took = time.monotonic() - began
            if error.pause is not None and error.pause > self._service.pauses.longest_asked:
                _told(self._limits, error, again=False)
                raise RateLimited(
                    f"{where}: {error}, and asks for a pause of {error.pause:.0f} s", error.pause
                ) from None
            raise
        except RequestRefused:
            breaker.succeeded()
            raise
        except ServiceUnavailable:  # the answer is too large
            self._limits.on_failure(time.monotonic() - began, False, True)
            raise
        breaker.succeeded()
        return answer

    def _sent(self, request: httpx.Request, where: str, began: float) -> httpx.Response:
        limits = self._limits
        seconds = limits.seconds if limits.until is None else max(0.05, min(limits.seconds, limits.until - began))
        request.extensions["timeout"] = httpx.Timeout(seconds).as_dict()
        deadline = limits.until if limits.stream else began + seconds
        try:
            answer = self._service.client().send(request, stream=True)
            # As bytes: a value may hold anything.
            headers = [(name, value) for name, value in answer.headers.raw if name.lower() not in _ENCODING]
            parts = self._parts(answer, where, deadline)
            if limits.stream and answer.is_success:
                return httpx.Response(answer.status_code, headers=headers, stream=_Streamed(answer, parts, where))
            try:
                content = b"".join(parts)
            finally:
                answer.close()
        except (httpx.TimeoutException, TimeoutError) as error:
            unsent = isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
            raise _Passing(f"no whole answer within {seconds:g} s", worked=not unsent) from None
        except httpx.HTTPError as error:
            unsent = isinstance(error, httpx.ConnectError)
            raise _Passing(f"{type(error).__name__}: {error}", worked=not unsent) from None
        return httpx.Response(answer.status_code, headers=headers, content=content)

    def _parts(self, answer: httpx.Response, where: str, deadline: float | None) -> Iterator[bytes]:
        size = 0
        for part in answer.iter_bytes():
            size += len(part)
            if size > self._limits.most_bytes:
                raise ServiceUnavailable(f"{where} answered with more than {self._limits.most_bytes} bytes")
            if deadline is not None and time.monotonic() > deadline:  # slow bytes never let a single read time out
                raise TimeoutError
            yield part

    def _check(self, answer: httpx.Response, where: str, secrets: tuple[str, ...]) -> None:
        status = answer.status_code
        if answer.is_success:
            if self._limits.json and not self._limits.stream:
                try:
                    answer.extensions["json"] = json.loads(answer.content)
                except (ValueError, RecursionError):
                    raise _Passing("the answer is not JSON") from None
            return
        if self._limits.redirects and answer.has_redirect_location:
            return
        asked, said = asked_pause(status, answer.headers), _said(answer.content, secrets)
        if status in PASSING or status >= 500 or (status == 403 and asked is not None):
            pause = self._service.pauses.unsaid if status == 429 and asked is None else asked
            worked = status >= 500 and status != 503
            raise _Passing(f"status {status}: {said}", pause, worked=worked, status=status)
        raise RequestRefused(f"{where} answered {status}: {said}", status)


class _Streamed(httpx.SyncByteStream):
    """An answer that is read as it arrives."""

    def __init__(self, answer: httpx.Response, parts: Iterator[bytes], where: str) -> None:
        self._answer, self._parts, self._where = answer, parts, where

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._parts
        except (httpx.HTTPError, TimeoutError) as error:
            raise ServiceUnavailable(f"{self._where}: the answer broke off ({type(error).__name__})") from None

    def close(self) -> None:
        self._answer.close()


_CREDENTIALS = ("authorization", "private-token")
_ENCODING = (b"content-encoding", b"content-length", b"transfer-encoding")
"""Headers that describe the answer as it was sent; the copy returned by the transport is decompressed."""


def _told(limits: Limits, error: _Passing, *, again: bool) -> None:
    limits.on_failure(error.took, again, error.worked)


def _stop(limits: Limits) -> "stop_after_attempt | stop_before_delay":
    tries = stop_after_attempt(limits.retries + 1)
    if limits.until is None:
        return tries
    return tries | stop_before_delay(max(0.0, limits.until - time.monotonic()))  # type: ignore[return-value]


def _failure(state: RetryCallState) -> _Passing:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, _Passing) else _Passing("")


def _details(errors: Any) -> list[str]:
    """What GitHub adds to "Validation Failed", and Jira and GraphQL say in place of a message:
    https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api"""
    if isinstance(errors, dict):
        errors = [f"{name}: {problem}" for name, problem in errors.items()]
    found = [_detail(error) for error in (errors if isinstance(errors, list) else ())]
    return [text for text in found if text][:5]


def _detail(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error or "")
    extensions = error.get("extensions")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    text = error.get("message") or " ".join(str(error[name]) for name in ("field", "code") if name in error)
    return f"{text} ({code})" if code else str(text)


def _said(content: bytes, secrets: tuple[str, ...]) -> str:
    """A service's error text as one short line, without the credentials, which some services echo."""
    try:
        error = json.loads(content)
        details = (error.get("errors") or error.get("errorMessages")) if isinstance(error, dict) else None
        while isinstance(error, dict):
            error = error.get("error", error.get("message", error.get("detail", "")))
        text = "; ".join(part for part in (str(error), *_details(details)) if part)
    except (ValueError, RecursionError):
        text = content[:4000].decode("utf-8", "replace")
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return " ".join(text.split())[:300] or "no reason given"
