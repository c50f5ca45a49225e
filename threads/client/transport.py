"""How a client talks to the server: over HTTP, with a token that is refreshed once for all who need it."""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import httpx

REQUEST_SECONDS = 30.0


class Offline(Exception):
    """There was no answer, or only part of one. What was asked may have been done."""


class Busy(Exception):
    """The server asks to come back after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the server asks to come back in {seconds:g} s")
        self.seconds = seconds


class SignedOut(Exception):
    """The token is not valid, and could not be refreshed: sign in again. What is pending is kept."""


class Refused(Exception):
    """The server's refusal: `status` of HTTP, `code`, and the whole answer."""

    def __init__(self, status: int, answer: Mapping[str, Any]) -> None:
        super().__init__(str(answer.get("error", status)))
        self.status = status
        self.code = str(answer.get("code", ""))
        self.answer = answer


class Transport(Protocol):
    """One request; its answer as JSON. Raises `Offline`, `Busy`, `SignedOut` or `Refused`."""

    def request(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, wait: float = 0.0
    ) -> Any: ...


class Tokens:
    """The current token. However many callers find it refused at once, one of them refreshes it."""

    def __init__(self, token: str, refresh: Callable[[], str | None] | None = None) -> None:
        self._token = token
        self._refresh = refresh
        self._lock = threading.Lock()
        self._over = False

    @property
    def current(self) -> str:
        return self._token

    def renewed(self, refused: str) -> str:
        """A token to try after `refused` was. Raises `SignedOut`."""
        with self._lock:
            if self._token != refused:
                return self._token
            found = None if self._over or self._refresh is None else self._refresh()
            if found is None:
                self._over = True
                raise SignedOut("the token is unknown, expired or revoked: sign in again")
            self._token = found
            return found


class HttpTransport:
    """Requests to one gateway. Several threads may use it."""

    def __init__(self, address: str, tokens: Tokens, *, team: str | None = None) -> None:
        self._tokens = tokens
        self._client = httpx.Client(
            base_url=address, headers={"Penstock-Team": team} if team else {}, timeout=REQUEST_SECONDS, trust_env=False
        )

    def request(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, wait: float = 0.0
    ) -> Any:
        token = self._tokens.current
        answer = self._send(token, method, path, query, body, wait)
        if answer.status_code == 401:
            answer = self._send(self._tokens.renewed(token), method, path, query, body, wait)
        if answer.status_code == 401:
            raise SignedOut("the token is unknown, expired or revoked: sign in again")
        if answer.status_code in (429, 502, 503, 504) or answer.status_code >= 500:
            raise Busy(seconds_of(answer.headers.get("retry-after")))
        try:
            found = answer.json() if answer.content else None
        except ValueError as error:
            raise Offline("the answer is not whole") from error
        if answer.status_code >= 400:
            raise Refused(answer.status_code, found if isinstance(found, dict) else {})
        return found

    def _send(
        self, token: str, method: str, path: str, query: Mapping[str, Any] | None, body: Any, wait: float
    ) -> httpx.Response:
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        given = {key: str(value) for key, value in (query or {}).items() if value is not None}
        try:
            return self._client.request(
                method,
                path,
                params=given,
                content=content,
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                timeout=httpx.Timeout(REQUEST_SECONDS + wait, connect=5.0),
            )
        except httpx.HTTPError as error:
            raise Offline(f"no answer from the server ({type(error).__name__})") from error

    def close(self) -> None:
        self._client.close()


def seconds_of(text: str | None) -> float:
    """What `Retry-After` asks for, in seconds; 1 if it says nothing."""
    return min(600.0, float(text)) if text and text.replace(".", "", 1).isdigit() else 1.0
