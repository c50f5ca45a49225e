"""The node of durable objects as a process of the platform, and as a part of a single command."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from core.database import Database
from core.heartbeats import heartbeat
from core.settings import Settings
from objects.custom.opened import TeamCode
from objects.node import NodeSettings, ObjectNode, ThreadedNode
from objects.outside import World

BEAT_SECONDS = 5.0


def node_settings(settings: Settings) -> NodeSettings:
    return NodeSettings(
        host=settings.object_node_host,
        port=settings.object_node_port,
        advertised=settings.object_node_advertise or "",
        lease=settings.object_lease_seconds,
        hibernate=settings.object_hibernate_seconds,
    )


def serve(settings: Settings, url: str) -> None:
    """Runs a node until SIGTERM or SIGINT, then drains it."""
    from core import tracing
    from core.logs import configure

    configure(settings.log_level, "penstock-object-node")
    tracing.use(settings, "penstock-object-node")
    asyncio.run(_serve(settings, url))
    tracing.close()


async def _serve(settings: Settings, url: str) -> None:

    from objects.duties import Duties
    from objects.model import Unavailable

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    logger = logging.getLogger("objects")
    node = ObjectNode(url, node_settings(settings), custom=TeamCode(settings.sandbox), outside=partial(World, settings))
    beat = heartbeat()
    while not ended.is_set():
        beat()
        try:
            await node.start()
            break
        except Unavailable as error:
            logger.warning("the node waits for the database: %s", error)
            await asyncio.sleep(1)
    duties = Duties(node)
    duties.start()
    logger.info("node %s listens on %s", node.id, node.address)
    while not ended.is_set():
        beat()
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), BEAT_SECONDS)
    logger.info("draining")
    await duties.stop()


@contextmanager
def own_node(settings: Settings, url: str) -> Iterator[ThreadedNode]:
    """A node in this process, for one command."""
    node = ThreadedNode(
        url,
        NodeSettings(lease=settings.object_lease_seconds),
        custom=TeamCode(settings.sandbox),
        outside=partial(World, settings),
    )
    try:
        yield node
    finally:
        node.stop()


def check_here(settings: Settings, database: Database) -> None:
    """Checks what was submitted, in this process."""
    code = TeamCode(settings.sandbox)
    try:
        while code.check_next(database) is not None:
            pass
    finally:
        code.close()
