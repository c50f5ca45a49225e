"""How routers and nodes talk: lines of JSON over TCP. The first line holds the node's secret, each other line one call,
and each answer the number of its call; they may come in any order.

A node's address and secret are in its row of the database: whoever may read that may call it.
"""

import asyncio
import json
import uuid
from dataclasses import fields
from typing import Any

from objects.model import Address, Call, Reply

LINE_BYTES = 12 << 20
SECRET_BYTES = 43
"""Of a secret, which comes before anything else, so that little is read of somebody who does not know it."""
CONNECT_SECONDS = 2.0


class LinkLost(ConnectionError):
    """The node cannot be reached, or the connection to it ended: calls on the way may or may not have run."""


def write_call(call: Call) -> dict[str, Any]:
    address = call.address
    return {
        "team": str(address.team), "type": address.type, "object": address.key, "method": call.method,
        "argument": call.argument, "id": call.id, "caller": call.caller, "deadline": call.deadline,
        "chain": list(call.chain), "cause": call.cause, "key": call.key,
    }  # fmt: skip


def read_call(value: dict[str, Any]) -> Call:
    """Raises `KeyError`, `TypeError` and `ValueError`."""
    return Call(
        Address(uuid.UUID(value["team"]), value["type"], value["object"]),
        *(value["method"], value["argument"], value["id"], value["caller"], float(value["deadline"])),
        *(tuple(value["chain"]), value["cause"], value["key"]),
    )


def write_reply(reply: Reply) -> dict[str, Any]:
    return {
        "code": reply.code, "body": reply.body, "version": reply.version, "repeated": reply.repeated,
        "owner": reply.owner, "seconds": reply.seconds,
    }  # fmt: skip


def read_reply(value: dict[str, Any]) -> Reply:
    """Leaves out what a newer node may say beside it. Raises `TypeError`."""
    return Reply(**{name: value[name] for name in _REPLY if name in value})


_REPLY = tuple(part.name for part in fields(Reply))


class Link:
    """A connection to a node, for many calls at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = 0
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._ended = False
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, address: str, secret: str) -> "Link":
        """Raises `LinkLost`."""
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), limit=LINE_BYTES)
        except (OSError, ValueError) as error:
            raise LinkLost(f"the node at {address} cannot be reached") from error
        writer.write(secret.encode() + b"\n")
        return cls(reader, writer)

    @property
    def ended(self) -> bool:
        return self._ended

    async def call(self, call: Call) -> Reply:
        """Raises `LinkLost`."""
        if self._ended:
            raise LinkLost("the connection has ended")
        self._numbers += 1
        number = self._numbers
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(json.dumps({"number": number, **write_call(call)}).encode() + b"\n")
            await self._writer.drain()
            reply: Reply = await future
            return reply
        except (ConnectionError, RuntimeError) as error:
            raise LinkLost("the connection to the node ended") from error
        finally:
            self._waiting.pop(number, None)

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                value = json.loads(line)
                future = self._waiting.get(value["number"])
                if future is not None and not future.done():
                    future.set_result(read_reply(value))
        except (OSError, ValueError, KeyError, TypeError, asyncio.IncompleteReadError):
            pass  # it speaks no protocol, or went away
        finally:
            self.close()

    def close(self) -> None:
        self._ended = True
        self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(LinkLost("the connection to the node ended"))
        if self._reading is not asyncio.current_task():
            self._reading.cancel()
