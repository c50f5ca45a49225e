"""One service at one address: what is sent to it with which credentials, and the transport for clients made by others.

Redirects are not followed, so that credentials go nowhere else. Neither proxies nor credentials of the
environment are used unless that is said: most addresses are the operator's own.
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

Headers = Callable[[], Mapping[str, str]]
_PAUSES = Pauses()


def bearer(base: str, key_variable: str | None) -> Headers:
    """Authorises by the key in an environment variable, read anew for each request; not at all without a variable."""

    def headers() -> Mapping[str, str]:
        if key_variable is None:
            return {}
        key = os.environ.get(key_variable)
        if not key:
            raise ServiceUnavailable(f"{base} needs a key: set the environment variable {key_variable}")
        return {"Authorization": f"Bearer {key}"}

    return headers


class Service:
    """Safe for use by several threads, and after a fork. `remedy` ends the messages about a service that is away.

    `headers` give the credentials, whose values no message holds.
    """

    def __init__(
        self,
        base: str,
        *,
        headers: Headers = dict,
        remedy: str = "is it up?",
        pauses: Pauses = _PAUSES,
        breaker: Breaker | None = None,
        environment_proxies: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base = base.rstrip("/")
        self.headers = headers
        self.remedy = remedy
        self.pauses = pauses
        self.breaker = breaker or Breaker()
        self.sleep = sleep
        self._environment_proxies = environment_proxies
        self._client: httpx.Client | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def json(self, method: str, path: str, body: Any = None, *, limits: Limits) -> Any:
        """The answer's JSON. Raises `RequestRefused`, `RateLimited` or `ServiceUnavailable`."""
        return self.answer(method, path, body, limits=limits).extensions["json"]

    def answer(self, method: str, path: str, body: Any = None, *, limits: Limits) -> "httpx.Response":
        """The whole answer, whose status is 2xx. `path` is below the base, or a whole address of this service."""
        url = path if path.startswith(("http://", "https://")) else self.base + path
        request = self.client().build_request(method, url, json=body)
        return self.transport(limits).handle_request(request)

    def transport(self, limits: Limits) -> "Transport":
        """What a client of httpx can be given, so that all its requests keep these limits."""
        from core.http.transport import Transport

        return Transport(self, limits)

    def client(self) -> "httpx.Client":
        """The connections of this process."""
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
