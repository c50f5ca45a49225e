"""Reads the end of a long text, such as a log, that a service has, or hands out at a signed address of another host.

The redirect is followed once, without the service's credentials: the address itself is the permission, so it appears in
no message. Only public addresses are connected to, each checked at that moment, unless it is the service's own host.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from core.http.addresses import public_addresses
from core.http.errors import ServiceUnavailable
from core.http.limits import Limits
from core.http.service import Service

if TYPE_CHECKING:
    import httpx

MOST_READ = 64 << 20
"""Bytes of a text of which only the end is wanted and which cannot be asked for by range."""
_READ_WHOLE = 1 << 20
"""Up to this length, a text is read as it comes."""
_SECONDS = 20.0
"""Timeout of each connection and read."""
_MOST_SECONDS = 60.0
"""For all that is read of one text."""

Resolve = Callable[[str, int], list[str]]


def read_end(service: Service, path: str, most: int, *, resolve: Resolve = public_addresses) -> bytes:
    """The last `most` bytes of the text at `path` of a service. Raises `ServiceUnavailable`."""
    until = time.monotonic() + _MOST_SECONDS
    limits = Limits(_SECONDS, retries=0, most_bytes=MOST_READ, until=until, json=False, stream=True, redirects=True)
    with contextlib.closing(service.answer("GET", path, limits=limits)) as answer:
        if answer.is_success:
            return _end(answer.iter_bytes(), most)
        location = answer.headers.get("location", "")
    try:
        return _read_elsewhere(urljoin(f"{service.base}/", location), urlsplit(service.base), most, resolve, until)
    except ValueError:  # of `urlsplit`; the address is not repeated
        raise ServiceUnavailable(f"{service.base} leads to an address that is none") from None


def _read_elsewhere(address: str, own: SplitResult, most: int, resolve: Resolve, until: float) -> bytes:
    """Raises `ServiceUnavailable`, and `ValueError` for an address that is none."""
    import httpx

    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    is_own = host == own.hostname
    safe = parts.scheme == "https" or (is_own and parts.scheme == own.scheme == "http")
    if not safe or not host or "@" in parts.netloc:
        raise ServiceUnavailable(f"{own.netloc} leads to an address that is not safe to read from")
    url, headers, extensions = address, {"User-Agent": "Penstock", "Accept-Encoding": "identity"}, {}
    if not is_own:
        place = resolve(host, port)[0]
        url = parts._replace(netloc=f"[{place}]:{port}" if ":" in place else f"{place}:{port}").geturl()
        headers, extensions = headers | {"Host": parts.netloc}, {"sni_hostname": host}
    try:
        with httpx.Client(trust_env=False, follow_redirects=False, timeout=_SECONDS) as client:

            def ask(**more: str) -> "contextlib.AbstractContextManager[httpx.Response]":
                return client.stream("GET", url, headers=headers | more, extensions=extensions)

            with ask() as answer:
                length = _length(answer, host)
                if length is None or length <= _READ_WHOLE:
                    return _end(_bounded(answer, host, until), most)
            with ask(Range=f"bytes={length - most}-{length - 1}") as answer:
                _length(answer, host)
                return _end(_bounded(answer, host, until), most)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceUnavailable(f"{host}: {type(error).__name__}") from None


def _length(answer: "httpx.Response", host: str) -> int | None:
    """How long the text is, as far as the answer says. Raises `ServiceUnavailable` if it is none."""
    if not answer.is_success:
        raise ServiceUnavailable(f"{host} answered {answer.status_code}")
    text = answer.headers.get("content-length", "")
    encoded = answer.headers.get("content-encoding", "identity") != "identity"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 and not encoded else None


def _bounded(answer: "httpx.Response", host: str, until: float) -> Iterator[bytes]:
    size = 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > MOST_READ:
            raise ServiceUnavailable(f"{host} answered with more than {MOST_READ} bytes")
        if time.monotonic() > until:
            raise ServiceUnavailable(f"{host}: no whole answer within {_MOST_SECONDS:g} s")
        yield part


def _end(parts: Iterable[bytes], most: int) -> bytes:
    """The last `most` bytes of all parts together."""
    kept: deque[bytes] = deque()
    size = 0
    for part in parts:
        kept.append(part)
        size += len(part)
        while size - len(kept[0]) >= most:
            size -= len(kept.popleft())
    return b"".join(kept)[-most:]
