"""One service at one address: its credentials, its connections, and a transport for third-party clients of it.

Redirects are not followed, so that credentials go nowhere else. The environment's proxies are used only with
`environment_proxies`, since most addresses are the operator's own; its credentials are never used.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from core.http.breaker import Breaker
from core.http.errors import ServiceUnavailable
from core.http.limits import Limits, Pauses

if TYPE_CHECKING:
    import httpx

    from core.http.transport import Transport

_PAUSES = Pauses()


class Service:
    """Safe for use by several threads, and after a fork.

    Credentials are the `headers`, and a bearer token from the environment variable `key_variable`, both read for each
    request; they never appear in a message. `remedy` ends the message of `ServiceUnavailable` after failed attempts.
    """

    def __init__(
        self,
        base: str,
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        key_variable: str | None = None,
        remedy: str = "is it up?",
        pauses: Pauses = _PAUSES,
        breaker: Breaker | None = None,
        environment_proxies: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base = base.rstrip("/")
        self._headers = headers
        self._key_variable = key_variable
        self.remedy = remedy
        self.pauses = pauses
        self.breaker = breaker or Breaker()
        self.sleep = sleep
        self._environment_proxies = environment_proxies
        self._client: httpx.Client | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def headers(self) -> dict[str, str]:
        """The credentials. Raises `ServiceUnavailable` if the key's environment variable is not set."""
        given = dict(self._headers())
        if self._key_variable is not None:
            key = os.environ.get(self._key_variable)
            if not key:
                raise ServiceUnavailable(f"{self.base} needs a key: set the environment variable {self._key_variable}")
            given["Authorization"] = f"Bearer {key}"
        return given

    def json(self, method: str, path: str, body: Any = None, *, limits: Limits) -> Any:
        """The answer's JSON. Raises `RequestRefused`, `RateLimited` or `ServiceUnavailable`."""
        return self.answer(method, path, body, limits=limits).extensions["json"]

    def answer(self, method: str, path: str, body: Any = None, *, limits: Limits) -> "httpx.Response":
        """The whole answer, with a 2xx status. `path` is relative to the base, or a full URL of this service. Raises
        like `json`."""
        url = path if path.startswith(("http://", "https://")) else self.base + path
        request = self.client().build_request(method, url, json=body)
        return self.transport(limits).handle_request(request)

    def transport(self, limits: Limits) -> "Transport":
        """An httpx transport that applies these limits to every request of the client that uses it."""
        from core.http.transport import Transport

        return Transport(self, limits)

    def client(self) -> "httpx.Client":
        """The connections of this process; a forked child opens its own."""
        import httpx

        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client = httpx.Client(trust_env=self._environment_proxies, follow_redirects=False)
                self._pid = os.getpid()
            return self._client

    def close(self) -> None:
        with self._lock:
            if self._client is not None and self._pid == os.getpid():
                self._client.close()
            self._client = None
