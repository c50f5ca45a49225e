"""Fetches public pages: bounded in bytes, time and redirects, from public addresses only, as far as robots may.

Each connection goes to an address that was checked at that moment, also after a redirect, so that no name leads into
somebody's own network. A page is data; its links are not followed.
"""

import asyncio
import threading
import time
import urllib.robotparser
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from assets.research.corpora.protocol import CorpusUnavailable, SourceGone
from assets.research.corpora.reading import kind_of, read
from assets.research.records import Document, Trust
from core.http.addresses import public_addresses
from core.http.errors import ServiceUnavailable

if TYPE_CHECKING:
    import httpx

AGENT = "Penstock-Research"
MOST_BYTES = 5 << 20
_MOST_ROBOTS = 512 << 10
_SECONDS = 20.0
"""For one page with all its redirects."""
_READ_SECONDS = 8.0
_REDIRECTS = 5
_KEPT_ROBOTS = 256
_KINDS = {
    "text/html": "html", "application/xhtml+xml": "html", "application/pdf": "pdf", "text/plain": "text",
    "text/markdown": "text", "application/atom+xml": "atom", "application/xml": "atom", "text/xml": "atom",
}  # fmt: skip

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Fetched:
    """The bytes of a page, where it was found in the end, and how it is read."""

    address: str
    content: bytes
    kind: str
    date: str = ""


class Fetcher:
    """Safe for use by several threads. `resolve` gives the addresses of a host, all of them public."""

    def __init__(self, resolve: Resolve = public_addresses, *, schemes: tuple[str, ...] = ("https", "http")) -> None:
        self._resolve = resolve
        self._schemes = schemes
        self._robots: OrderedDict[str, urllib.robotparser.RobotFileParser] = OrderedDict()
        self._lock = threading.Lock()

    def document(self, address: str) -> Document:
        """The page as a document. Raises `CorpusUnavailable`, and `SourceGone` for one that is not there."""
        page = self.fetch(address)
        return read(page.content, page.kind, page.address, Trust.PUBLIC, page.date)

    def fetch(self, address: str) -> Fetched:
        """Raises `CorpusUnavailable`, and `SourceGone` for a page that is not there."""
        until = time.monotonic() + _SECONDS
        if not self._allowed(address, until):
            raise CorpusUnavailable(f"{_shown(address)} is closed to programs by its robots.txt")
        return self._follow(address, until, MOST_BYTES)

    def _follow(self, address: str, until: float, most: int) -> Fetched:
        for _ in range(_REDIRECTS + 1):
            answer = self._once(address, until, most)
            if isinstance(answer, Fetched):
                return answer
            following = urljoin(address, answer)
            if urlsplit(following).netloc != urlsplit(address).netloc and not self._allowed(following, until):
                raise CorpusUnavailable(f"{_shown(following)} is closed to programs by its robots.txt")
            address = following
        raise CorpusUnavailable(f"{_shown(address)}: more than {_REDIRECTS} redirects")

    def _once(self, address: str, until: float, most: int) -> Fetched | str:
        """The page, or where it leads."""
        import httpx

        parts, host, port = self._checked(address)
        try:
            place = self._resolve(host, port)[0]
        except ServiceUnavailable as error:
            raise CorpusUnavailable(str(error)) from error
        pinned = parts._replace(netloc=f"[{place}]:{port}" if ":" in place else f"{place}:{port}").geturl()
        headers = {
            "User-Agent": AGENT,
            "Host": parts.netloc,
            "Accept": "text/html, application/pdf, text/plain;q=0.9",
            "Accept-Encoding": "identity",
        }

        async def ask() -> Fetched | str:
            # A deadline of the whole exchange: headers that drip never let a single read time out.
            async with (
                asyncio.timeout(max(0.0, until - time.monotonic())),
                httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=_READ_SECONDS) as client,
                client.stream("GET", pinned, headers=headers, extensions={"sni_hostname": host}) as answer,
            ):
                if answer.has_redirect_location:
                    return str(answer.headers["location"])
                if answer.status_code in (404, 410):
                    raise SourceGone(f"{_shown(address)} is not there")
                if not answer.is_success:
                    raise _Answered(answer.status_code, address)
                kind = _kind(answer.headers.get("content-type", ""), parts.path)
                return Fetched(address, await _body(answer, address, most), kind)

        try:
            return asyncio.run(ask())
        except TimeoutError:
            raise CorpusUnavailable(f"{_shown(address)}: no whole answer within {_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CorpusUnavailable(f"{_shown(address)}: {type(error).__name__}") from None

    def _checked(self, address: str) -> tuple[SplitResult, str, int]:
        try:
            parts = urlsplit(address)
            host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise CorpusUnavailable("what should be fetched is no address") from None
        if parts.scheme not in self._schemes or not host or "@" in parts.netloc or len(address) > 2000:
            raise CorpusUnavailable(f"{_shown(address)} is not an address of a public page")
        return parts._replace(fragment=""), host, port

    def _allowed(self, address: str, until: float) -> bool:
        """Whether the site's robots.txt lets this program read a page (RFC 9309). A site without one allows all; one
        whose robots.txt cannot be had allows nothing."""
        parts, _, _ = self._checked(address)
        root = f"{parts.scheme}://{parts.netloc}"
        if (parser := self._robots.get(root)) is None:
            parser = urllib.robotparser.RobotFileParser()
            try:
                text = self._follow(f"{root}/robots.txt", min(until, time.monotonic() + 5.0), _MOST_ROBOTS).content
                parser.parse(text.decode("utf-8", "replace").splitlines())
            except SourceGone:
                parser.parse([])
            except _Answered as error:
                if error.status >= 500:
                    raise
                parser.parse([])
            with self._lock:
                while len(self._robots) >= _KEPT_ROBOTS:
                    self._robots.popitem(last=False)
                self._robots[root] = parser
        return parser.can_fetch(AGENT, address)


class _Answered(CorpusUnavailable):
    """A page was refused with a status."""

    def __init__(self, status: int, address: str) -> None:
        super().__init__(f"{_shown(address)} answered {status}")
        self.status = status


async def _body(answer: "httpx.Response", address: str, most: int) -> bytes:
    """The content. It is decompressed here, within `most` bytes: a small answer can be gigabytes."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "deflate"):
        raise CorpusUnavailable(f"{_shown(address)} is compressed in a way that was not asked for")
    decoder = zlib.decompressobj(47) if encoding in ("gzip", "deflate") else None
    content = bytearray()
    try:
        async for piece in answer.aiter_raw():
            content += decoder.decompress(piece, most + 1 - len(content)) if decoder else piece
            if len(content) > most:
                raise CorpusUnavailable(f"{_shown(address)} is larger than {most} bytes")
    except zlib.error:
        raise CorpusUnavailable(f"{_shown(address)} is not compressed as it says") from None
    return bytes(content)


def _kind(content_type: str, path: str) -> str:
    named = content_type.partition(";")[0].strip().lower()
    kind = _KINDS.get(named) or (kind_of(path) if not named or named == "application/octet-stream" else "")
    if not kind:
        raise CorpusUnavailable(f"a page of type {named[:80] or 'unknown'} cannot be read")
    return kind


def _shown(address: str) -> str:
    """An address without what may be secret in it."""
    try:
        return urlsplit(address)._replace(query="", fragment="").geturl()[:300]
    except ValueError:
        return "an address that is none"
