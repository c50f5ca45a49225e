"""The few commands of Valkey and Redis that the cache needs, over their protocol RESP2.

Source: https://valkey.io/topics/protocol/. Not a general client: one connection, one command at a time.
"""

import asyncio
from typing import Any

from threads.cache.protocol import CacheUnavailable

SECONDS = 1.0
MOST_BYTES = 8 << 20


class RespError(Exception):
    """The server refuses a command."""


class Connection:
    """A connection that is opened when it is needed, and again after it was lost."""

    def __init__(self, host: str, port: int, *, password: str | None, database: int) -> None:
        self._host, self._port = host, port
        self._password, self._database = password, database
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()

    async def command(self, *parts: bytes | str | int) -> Any:
        """A command's answer: bytes, int, a list or None. Raises `CacheUnavailable`, `RespError`."""
        async with self._lock:
            try:
                async with asyncio.timeout(SECONDS):
                    reader, writer = await self._open()
                    writer.write(encode(*parts))
                    await writer.drain()
                    return await read(reader)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
                self._drop()
                raise CacheUnavailable(f"the cache does not answer ({type(error).__name__})") from error
            except asyncio.CancelledError:
                self._drop()  # its answer would be taken for the next command's
                raise

    async def subscribe(self, channel: str) -> asyncio.StreamReader:
        """The stream of a connection that is subscribed, to be read with `read`."""
        async with asyncio.timeout(SECONDS):
            reader, writer = await self._open()
            writer.write(encode("SUBSCRIBE", channel))
            await writer.drain()
            await read(reader)
        return reader

    def close(self) -> None:
        self._drop()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            reader, writer = await asyncio.open_connection(self._host, self._port, limit=MOST_BYTES)
            self._streams = reader, writer
            if self._password:
                writer.write(encode("AUTH", self._password))
                await read(reader)
            if self._database:
                writer.write(encode("SELECT", self._database))
                await read(reader)
        return self._streams

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def encode(*parts: bytes | str | int) -> bytes:
    given = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"*%d\r\n" % len(given) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in given)


async def read(reader: asyncio.StreamReader) -> Any:
    """One answer. Raises `RespError`, and `ValueError` for what is none."""
    line = await reader.readuntil(b"\r\n")
    kind, rest = line[:1], line[1:-2]
    if kind == b"+":
        return rest
    if kind == b"-":
        raise RespError(rest.decode("utf-8", "replace")[:200])
    if kind == b":":
        return int(rest)
    if kind == b"$":
        size = int(rest)
        if size > MOST_BYTES:
            raise ValueError("an answer is too large")
        return (await reader.readexactly(size + 2))[:-2] if size >= 0 else None
    if kind == b"*":
        count = int(rest)
        if count > 1000:
            raise ValueError("an answer has too many parts")
        return [await read(reader) for _ in range(count)]
    raise ValueError("not an answer of Valkey or Redis")
