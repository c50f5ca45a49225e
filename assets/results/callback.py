"""The signed callback: each outcome is POSTed to one address of the operator's, by Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. No redirect is followed, and
without `callback_private` only public addresses are connected to, each checked at that moment.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from assets.results.notices import Notice, Unsent
from core.access.grants import is_loopback
from core.events import OUTCOMES
from core.http import Limits, Pauses, RateLimited, Service, ServiceUnavailable
from core.http.addresses import public_addresses
from core.settings import Settings
from core.signatures import sign_standard
from core.tasks import CLOSED

CHANGED = "penstock.publication.changed"
LIMITS = Limits(seconds=15.0, retries=0, most_bytes=64 << 10, json=False)
_PAUSES = Pauses(longest_asked=0.0)


class Callback:
    """`secrets` are Standard Webhooks keys (`whsec_...`), each of which signs. `resolve` gives the addresses of a host
    that may be connected to; None leaves that to the HTTP client, for an address in the operator's own network."""

    name = "callback"
    topics = (OUTCOMES,)

    def __init__(
        self,
        url: str,
        secrets: Sequence[str],
        *,
        resolve: Callable[[str, int], list[str]] | None = public_addresses,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._secrets = tuple(secrets)
        self._resolve = None if is_loopback(urlsplit(url).hostname or "") else resolve
        self._now = now

    def body(self, notice: Notice) -> dict[str, Any]:
        event, publication = notice.event, notice.publication
        told = {name: publication[name] for name in ("target", "state", "location")} if publication else None
        if publication and told:
            told["reason"] = publication["last_error"]
        return {
            "type": CHANGED if notice.later else CLOSED,
            "timestamp": notice.at.isoformat(),
            "data": {
                "task": event.get("task"),
                "attempt": event.get("attempt"),
                "source": event.get("source"),
                "state": event.get("state"),
                "verdict": event.get("verdict"),
                "draft_because": event.get("draft_because") or [],
                "ticket": notice.ticket,
                "publication": told,
            },
        }

    def send(self, identity: str, body: Mapping[str, Any], tries: int) -> None:
        raw, moment = json.dumps(body, separators=(",", ":"), sort_keys=True).encode(), int(self._now())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Penstock",
            "webhook-id": identity,
            "webhook-timestamp": str(moment),
            "webhook-signature": " ".join(sign_standard(key, identity, moment, raw) for key in self._secrets),
        }
        service, url, extensions = self._service(tries, headers)
        try:
            request = service.client().build_request("POST", url, content=raw, headers=headers, extensions=extensions)
            service.transport(LIMITS).handle_request(request)
        except ServiceUnavailable as error:
            asked = error.seconds if isinstance(error, RateLimited) else None
            raise Unsent(f"{self._url}: {error}", asked) from None
        finally:
            service.close()

    def _service(self, tries: int, headers: dict[str, str]) -> tuple[Service, str, dict[str, Any]]:
        """The receiver at one of its addresses, which the request names; its certificate is still that of the host."""
        parts = urlsplit(self._url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if self._resolve is None:
            own = is_loopback(host)
            return _service(self._url, environment_proxies=not own), self._url, {}
        try:
            addresses = self._resolve(host, port)
        except ServiceUnavailable as error:
            raise Unsent(
                f"{self._url}: {error}; a receiver in your own network needs PENSTOCK_CALLBACK_PRIVATE=true"
            ) from None
        address = addresses[(tries - 1) % len(addresses)]
        headers["Host"] = parts.netloc
        url = parts._replace(netloc=f"[{address}]:{port}" if ":" in address else f"{address}:{port}").geturl()
        return _service(url, environment_proxies=False), url, {"sni_hostname": host}


def _service(url: str, *, environment_proxies: bool) -> Service:
    remedy = "does the receiver answer with 2xx?"
    return Service(url, remedy=remedy, pauses=_PAUSES, environment_proxies=environment_proxies)


def open_callback(settings: Settings) -> Callback | None:
    if settings.callback_url is None or settings.callback_secret is None:
        return None
    secrets = [part.strip() for part in settings.callback_secret.get_secret_value().split(",") if part.strip()]
    return Callback(settings.callback_url, secrets, resolve=None if settings.callback_private else public_addresses)
