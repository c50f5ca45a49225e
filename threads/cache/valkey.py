"""A cache that processes share, in Valkey or Redis: a hash for each thread, which ends by itself after a while."""

import asyncio
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from threads.cache.protocol import PAGE_BYTES, SECONDS, CacheUnavailable, Heard, Page
from threads.cache.resp import Connection, RespError, read

PREFIX = "penstock:thread:"
CHANNEL = "penstock:threads"
PAUSE_SECONDS = 5.0
"""After a failure the cache is left alone for this time, so that it delays nobody who can do without it."""

# Put if newer: the version stands before the page.
_PUT = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old and tonumber(string.match(old, '^(%d+)')) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""


class ValkeyCache:
    """Opened by the first use, in the event loop that makes it."""

    def __init__(self, url: str, *, seconds: float = SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "valkey") or not parts.hostname:
            raise ValueError("a cache is redis://host:port or valkey://host:port")
        self._place = parts.hostname, parts.port or 6379
        self._more = {
            "password": unquote(parts.password) if parts.password else None,
            "database": int(parts.path.strip("/") or 0),
        }
        self._seconds = seconds
        self._connection = self._connect()
        self._heard: list[Heard] = []
        self._listening: asyncio.Task[None] | None = None
        self._silent_until = 0.0

    async def get(self, thread: str, page: str) -> Page | None:
        found = await self._command("HGET", PREFIX + thread, page)
        if not isinstance(found, bytes):
            return None
        head, _, body = found.partition(b"\n")
        version, _, whole = head.partition(b" ")
        return Page(int(version), whole == b"whole", body) if version.isdigit() else None

    async def put(self, thread: str, page: str, found: Page) -> bool:
        if len(found.body) > PAGE_BYTES:
            return False
        value = b"%d %s\n%s" % (found.version, b"whole" if found.whole else b"last", found.body)
        milliseconds = max(1, int(self._seconds * 1000))
        kept = await self._command("EVAL", _PUT, 1, PREFIX + thread, page, found.version, value, milliseconds)
        return bool(kept == 1)

    async def forget(self, thread: str) -> None:
        await self._command("DEL", PREFIX + thread)
        await self._command("PUBLISH", CHANNEL, thread)

    def listen(self, heard: Heard) -> None:
        self._heard.append(heard)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
        self._connection.close()

    def _connect(self) -> Connection:
        host, port = self._place
        return Connection(host, port, **self._more)  # type: ignore[arg-type]

    async def _command(self, *parts: bytes | str | int) -> object:
        now = asyncio.get_running_loop().time()
        if now < self._silent_until:
            raise CacheUnavailable("the cache did not answer a moment ago")
        if self._heard and self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        try:
            return await self._connection.command(*parts)
        except RespError as error:
            self._silent_until = now + PAUSE_SECONDS
            raise CacheUnavailable(f"the cache refuses a command: {error}") from error
        except CacheUnavailable:
            self._silent_until = now + PAUSE_SECONDS
            raise

    async def _listen(self) -> None:
        while True:
            connection = self._connect()
            try:
                reader = await connection.subscribe(CHANNEL)
                while True:
                    message = await read(reader)
                    if isinstance(message, list) and len(message) == 3 and isinstance(message[2], bytes):
                        for heard in self._heard:
                            heard(message[2].decode("ascii", "replace"))
            except (OSError, TimeoutError, ValueError, RespError, asyncio.IncompleteReadError):
                await asyncio.sleep(1)
            finally:
                connection.close()
