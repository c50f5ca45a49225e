"""Finds the node that runs an object, and calls it there.

Rendezvous hashing says which node an object would rather be at; the object's row says where it is. A call is forwarded
once, to the node that its first one names. What is lost on the way is called again under the same id, until its
deadline.
"""

import asyncio
import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from objects.model import Address, Call, Reply, Unavailable, problem
from objects.wire import Link, LinkLost

FRESH_SECONDS = 0.5
"""How long a list of nodes is used before it is read again."""
PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Node:
    id: uuid.UUID
    address: str
    secret: str
    draining: bool = False


def preferred(nodes: Sequence[Node], address: Address) -> list[Node]:
    """The nodes in the order in which an object would rather be there (highest random weight)."""
    name = f"{address.team}/{address}".encode()
    return sorted(
        nodes, key=lambda node: hashlib.blake2b(name, key=node.id.bytes, digest_size=8).digest(), reverse=True
    )


class Router:
    """`read_nodes` lists the living nodes, or raises `Unavailable`; `wake` is asked to start one if there is none.
    `here` runs calls of the node that this process is."""

    def __init__(
        self,
        read_nodes: Callable[[], Awaitable[list[Node]]],
        *,
        wake: Callable[[], None] = lambda: None,
        here: tuple[str, Callable[[Call], Awaitable[Reply]]] | None = None,
    ) -> None:
        self._read_nodes = read_nodes
        self._wake = wake
        self._here = here
        self._nodes: list[Node] = []
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._links: dict[str, Link] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    async def call(self, call: Call) -> Reply:
        """The reply of the object, or one that says why there is none."""
        excluded: set[str] = set()
        reason = "no node runs objects"
        while True:
            nodes = preferred([n for n in await self.nodes() if n.address not in excluded], call.address)
            if not nodes:
                self._wake()
            for node in nodes[:1]:
                try:
                    reply = await self._at(node, call)
                    if reply.code == "moved":
                        reply = await self._forward(reply, call)
                except LinkLost as lost:
                    excluded.add(node.address)
                    reason = str(lost)
                    self._read_at = float("-inf")
                    break
                if reply.code != "retry":
                    return reply
                reason = reply.body
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                excluded.clear()
                await asyncio.sleep(PAUSE_SECONDS)
            if time.time() > call.deadline:
                return problem("unavailable", f"no node could run the call in time: {reason}"[:500])

    async def _forward(self, moved: Reply, call: Call) -> Reply:
        owner = next((node for node in await self.nodes(everything=True) if node.address == moved.owner), None)
        if owner is None:
            return problem("retry", f"the node at {moved.owner} does not live, its lease does", seconds=moved.seconds)
        try:
            reply = await self._at(owner, call)
        except LinkLost as lost:
            self._read_at = float("-inf")
            return problem("retry", str(lost))
        # Its second node names a third: the object moves faster than it can be followed.
        return (
            problem("moved", f"the object is at {reply.owner} now", owner=reply.owner)
            if reply.code == "moved"
            else reply
        )

    async def _at(self, node: Node, call: Call) -> Reply:
        """Raises `LinkLost`, also when the node's lease ends while it does not answer."""
        if self._here is not None and node.address == self._here[0]:
            return await self._here[1](call)
        link = await self._link(node)
        asked = asyncio.ensure_future(link.call(call))
        try:
            while True:
                done, _ = await asyncio.wait({asked}, timeout=1.0)
                if done:
                    return asked.result()
                if time.time() > call.deadline + 5:
                    raise LinkLost("the node has not answered by the call's deadline")
                if all(one.address != node.address for one in await self.nodes(everything=True)):
                    self._lose(node.address)
                    raise LinkLost("the node's lease has ended")
        finally:
            asked.cancel()

    async def _link(self, node: Node) -> Link:
        async with self._opening.setdefault(node.address, asyncio.Lock()):
            link = self._links.get(node.address)
            if link is None or link.ended:
                self._links[node.address] = link = await Link.open(node.address, node.secret)
            return link

    def _lose(self, address: str) -> None:
        if (link := self._links.pop(address, None)) is not None:
            link.close()

    async def nodes(self, *, everything: bool = False) -> list[Node]:
        """The living nodes; those that drain only with `everything`: they still hold objects, and take none."""
        if time.monotonic() - self._read_at > FRESH_SECONDS:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            await asyncio.shield(self._reading)
        return [node for node in self._nodes if everything or not node.draining]

    async def _read(self) -> None:
        try:
            self._nodes = await self._read_nodes()
        except Unavailable:  # then those that were known are asked
            return
        finally:
            self._read_at = time.monotonic()
        living = {node.address for node in self._nodes}
        for address in [address for address in self._links if address not in living]:
            self._lose(address)
            self._opening.pop(address, None)

    def close(self) -> None:
        for address in list(self._links):
            self._lose(address)
