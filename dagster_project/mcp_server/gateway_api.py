"""The gateway's API as tools use it: with the caller's token, timeouts, and errors as sentences."""

import json
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpx

REQUEST_SECONDS = 15.0
KNOWN_SECONDS = 10.0
"""For this time the gateway is not asked again who a token is."""
_MOST_KNOWN = 1000
_MOST_BYTES = 8 << 20


class ApiError(Exception):
    """What was asked was not done; the message says why, and what to do. `status` is None without an answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Who:
    """Whose token it is, in which team, and what it allows."""

    name: str
    role: str
    team: str
    team_id: uuid.UUID


class GatewayApi:
    """The gateway at an address. Used by one event loop."""

    def __init__(self, address: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.address = address.rstrip("/")
        self._client = httpx.AsyncClient(
            base_url=self.address, timeout=REQUEST_SECONDS, transport=transport, follow_redirects=False, trust_env=False
        )
        self._known: OrderedDict[str, tuple[float, Who]] = OrderedDict()

    async def close(self) -> None:
        await self._client.aclose()

    async def who(self, token: str) -> Who:
        """Raises `ApiError`, with 401 for a token that is not valid."""
        known = self._known.get(token)
        if known is not None and time.monotonic() - known[0] < KNOWN_SECONDS:
            return known[1]
        found = await self.ask(token, "GET", "/me")
        who = Who(str(found["name"]), str(found["role"]), str(found["team"]), uuid.UUID(found["team_id"]))
        self._known[token] = (time.monotonic(), who)
        self._known.move_to_end(token)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return who

    async def ask(
        self,
        token: str,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The answer as JSON. Raises `ApiError`."""
        try:
            async with self._client.stream(
                method, path, params=query, json=body, headers={**_bearer(token), **(headers or {})}
            ) as answer:
                content = await _read(answer)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        return _checked(answer.status_code, content)

    async def events(self, token: str, path: str, last: str) -> AsyncGenerator[tuple[str, str, dict[str, Any]]]:
        """Server-sent events as (event, id, data), from after the event with the id `last`. Raises `ApiError`."""
        headers = {**_bearer(token), "Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        event = identity = ""
        try:
            async with self._client.stream("GET", path, headers=headers) as answer:
                if answer.status_code == 204:
                    return
                if answer.status_code != 200:
                    _checked(answer.status_code, await _read(answer))
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        event = value
                    elif name == "id":
                        identity = value
                    elif name == "data" and event:
                        yield event, identity, json.loads(value)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> ApiError:
        return ApiError(
            f"the gateway at {self.address} does not answer ({type(error).__name__}): is the platform running "
            "(`penstock status`)?"
        )


async def _read(answer: httpx.Response) -> bytes:
    """A body, which is given up on as soon as it is too large. Raises `ApiError`."""
    content = bytearray()
    async for part in answer.aiter_bytes():
        content += part
        if len(content) > _MOST_BYTES:
            raise ApiError("the gateway's answer is too large: ask for less")
    return bytes(content)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _checked(status: int, content: bytes) -> Any:
    try:
        found = json.loads(content) if content else {}
    except ValueError:
        found = {}
    if 200 <= status < 300:
        return found
    said = found.get("error") if isinstance(found, dict) else None
    raise ApiError(str(said or f"the gateway answered {status}")[:1000], status)
