"""Each cache of threads does what the protocol promises; the shared one on a real Redis."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from threads.cache import Cache, CacheUnavailable, Page
from threads.cache.conformance import CHECKS, Check, OpenCache
from threads.cache.layered import LayeredCache
from threads.cache.memory import MemoryCache
from threads.cache.valkey import ValkeyCache


class Server:
    def __init__(self, program: str, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self.url = f"valkey://127.0.0.1:{self.port}/2"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < until
                time.sleep(0.05)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("valkey-server or redis-server is missing: `apt-get install redis-server`")
        pytest.skip("valkey-server or redis-server is missing: `apt-get install redis-server`")
    made = Server(program, tmp_path_factory.mktemp("valkey"))
    yield made
    made.stop()


@pytest.fixture(params=["memory", "valkey", "layered"])
def open_cache(request: pytest.FixtureRequest) -> OpenCache:
    if request.param == "memory":
        return lambda seconds: MemoryCache(seconds=seconds)
    url = request.getfixturevalue("server").url
    if request.param == "valkey":
        return lambda seconds: ValkeyCache(url, seconds=seconds)
    return lambda seconds: LayeredCache(MemoryCache(seconds=seconds), ValkeyCache(url, seconds=seconds))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_cache_conforms(open_cache: OpenCache, check: Check) -> None:
    asyncio.run(check(open_cache))  # type: ignore[arg-type]


def test_processes_share_pages_and_hear_what_others_forget(server: Server) -> None:
    async def course() -> None:
        near = [MemoryCache(), MemoryCache()]
        one, other = (LayeredCache(each, ValkeyCache(server.url)) for each in near)
        await one.put("a thread", "0:10", Page(3, True, b"x"))
        assert await other.get("a thread", "0:10") == Page(3, True, b"x")
        await asyncio.sleep(0.2)
        await one.forget("a thread")
        for _ in range(100):
            if await near[1].get("a thread", "0:10") is None:
                break
            await asyncio.sleep(0.02)
        assert await near[1].get("a thread", "0:10") is None
        for each in (one, other):
            await each.close()

    asyncio.run(course())


def test_a_cache_that_is_away_is_done_without(server: Server) -> None:
    async def course() -> None:
        shared: Cache = ValkeyCache(server.url)
        layered = LayeredCache(MemoryCache(), ValkeyCache(server.url))
        server.stop()
        with pytest.raises(CacheUnavailable):
            await shared.get("a thread", "0:10")
        assert await layered.put("a thread", "0:10", Page(1, False, b"x"))
        assert await layered.get("a thread", "0:10") == Page(1, False, b"x")
        began = time.monotonic()
        for _ in range(100):
            await layered.get("a thread", "0:10")
        assert time.monotonic() - began < 1  # it is not asked again at once
        await shared.close()
        await layered.close()

    try:
        asyncio.run(course())
    finally:
        server.start()


def test_the_cache_in_the_process_is_bounded() -> None:
    async def course() -> None:
        cache = MemoryCache(most_bytes=1000)
        for number in range(50):
            await cache.put("a thread", str(number), Page(1, True, b"x" * 100))
        assert await cache.get("a thread", "49") is not None and await cache.get("a thread", "0") is None
        assert cache._bytes <= 1000 and len(cache._pages) == 10

    asyncio.run(course())
