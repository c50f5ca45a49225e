"""Starting servers that were scaled to zero: one wake for a burst of requests, which are held for a bounded time.

Putting servers to sleep is not done here: whoever scales reads the proxy's metric of the last request.
"""

import asyncio
import json
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import structlog

from core.models.config import Backend, Deployment
from core.models.pool import Pool

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CALL_SECONDS = 10.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 15.0
_logger = structlog.get_logger("model-proxy")


class WakeFailed(RuntimeError):
    """A server could not be started; the message says why."""


class Waker(Protocol):
    async def wake(self, backend: Backend) -> None:
        """Asks for a server to be started, and returns without waiting for it. Asking again changes nothing. Raises
        `WakeFailed`."""


class HttpWaker:
    """POSTs `{"backend", "model", "version"}` to an address of the operator's; any 2xx will do."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def wake(self, backend: Backend) -> None:
        asked = {"backend": backend.name, "model": backend.model, "version": backend.version}
        await _call("POST", self._url, asked)


class DeploymentWaker:
    """Scales a Deployment from zero to one through the API of Kubernetes, with the pod's service account.

    The account needs `get` and `patch` on the `scale` of this one object. A scale above zero is left as it is.
    """

    def __init__(self, deployment: Deployment, account: Path = ACCOUNT, server: str | None = None) -> None:
        self._deployment = deployment
        self._account = account
        self._server = server

    async def wake(self, backend: Backend) -> None:
        url = f"{self._address()}/apis/apps/v1/namespaces/{self._deployment.namespace}"
        url += f"/{self._deployment.resource}/{self._deployment.name}/scale"
        try:
            token = (self._account / "token").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise WakeFailed(f"no service account in {self._account}: the proxy must run in the cluster") from None
        authority = self._account / "ca.crt"
        trust = ssl.create_default_context(cafile=str(authority)) if authority.is_file() else None
        headers = {"Authorization": f"Bearer {token}"}
        scale = await _call("GET", url, None, headers, trust)
        try:
            wanted, version = int(scale["spec"].get("replicas", 0)), str(scale["metadata"]["resourceVersion"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise WakeFailed(f"{url} does not answer with a Scale") from None
        if wanted > 0:
            return
        # The version makes a scaler's change between the two calls a conflict, rather than undo it.
        change = {"metadata": {"resourceVersion": version}, "spec": {"replicas": 1}}
        await _call("PATCH", url, change, {**headers, "Content-Type": "application/merge-patch+json"}, trust)

    def _address(self) -> str:
        if self._server is not None:
            return self._server
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise WakeFailed("KUBERNETES_SERVICE_HOST is not set: the proxy must run in the cluster")
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def waker_of(backend: Backend) -> Waker | None:
    if backend.wake is None:
        return None
    if backend.wake.deployment is not None:
        return DeploymentWaker(backend.wake.deployment)
    return HttpWaker(str(backend.wake.url))


class Wakes:
    """The wakes that are under way, at most one for each backend."""

    def __init__(self, hurry: Callable[[str], None], find: Callable[[Backend], Waker | None] = waker_of) -> None:
        self._hurry = hurry
        """Called with a backend's name when it is asked for, so that it is probed often."""
        self._find = find
        self._running: dict[str, asyncio.Task[None]] = {}
        self.counted: Callable[[str, str], None] = lambda _backend, _outcome: None

    def begin(self, pool: Pool, backend: Backend) -> None:
        """Starts a server, unless that is under way."""
        waker = self._find(backend)
        if waker is None or backend.name in self._running:
            return
        task = asyncio.get_running_loop().create_task(self._wake(pool, backend, waker))
        self._running[backend.name] = task
        task.add_done_callback(lambda _: self._running.pop(backend.name, None))

    def close(self) -> None:
        for task in self._running.values():
            task.cancel()

    async def _wake(self, pool: Pool, backend: Backend, waker: Waker) -> None:
        """Asks until it worked or the time is over, then waits for the server, so that no second wake begins."""
        assert backend.wake is not None  # noqa: S101  begin found a waker
        until = time.monotonic() + backend.wake.seconds
        pause = FIRST_PAUSE
        while True:
            try:
                await waker.wake(backend)
            except WakeFailed as error:
                self.counted(backend.name, "failed")
                _logger.warning("a model server cannot be woken", backend=backend.name, problem=str(error))
                if time.monotonic() + pause >= until:
                    return
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, 2 * pause)
                continue
            break
        self.counted(backend.name, "asked")
        _logger.info("a model server is woken", backend=backend.name, model=backend.model, version=backend.version)
        while time.monotonic() < until:
            state = pool.backends.get(backend.name)
            if state is None or (not state.down and state.standing.closed()):
                return
            self._hurry(backend.name)
            await asyncio.sleep(0.25)
        self.counted(backend.name, "late")
        _logger.warning("a woken model server is not up in time", backend=backend.name, seconds=backend.wake.seconds)


async def _call(
    method: str,
    url: str,
    body: object,
    headers: dict[str, str] | None = None,
    trust: ssl.SSLContext | None = None,
) -> Any:
    sent = {"Content-Type": "application/json", **(headers or {})}
    try:
        async with (
            asyncio.timeout(CALL_SECONDS),
            aiohttp.ClientSession(trust_env=False) as session,
            session.request(
                method,
                url,
                data=json.dumps(body).encode() if body is not None else None,
                headers=sent,
                ssl=trust if trust is not None else True,
                allow_redirects=False,
            ) as answer,
        ):
            raw = await answer.content.read(1 << 20)
            if not 200 <= answer.status < 300:
                raise WakeFailed(f"{method} {url} is answered {answer.status}")
    except TimeoutError:
        raise WakeFailed(f"{method} {url} is not answered within {CALL_SECONDS:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise WakeFailed(f"{method} {url} failed ({type(error).__name__})") from None
    try:
        return json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        return {}
