"""The service: pushes, pulls and reads of one installation, for members of teams. HTTP is in `gateway.threads`."""

import asyncio
import hashlib
import json
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from core.database import Database
from threads.cache import Cache, CacheUnavailable, Page, open_cache
from threads.copier import Copier
from threads.hub import Hub
from threads.mentions import are_open, resolve
from threads.merge import merge_text
from threads.model import LARGEST, MOST_BLOBS, MOST_MESSAGES, PROTOCOL, Push, Sharing, Turn, stored
from threads.store import Store
from threads.summary import Said, summarise
from threads.tasks import copy_trajectory, ensure_thread

MOST_WAIT = 25.0
MOST_FEED = 200
"""Changes that one pull answers."""
CACHED_CHARACTERS = 4096
"""A shorter last page is read again rather than cached."""
_MERGES = 8
"""How often an edit is merged again because others edited meanwhile, before both versions are kept."""

_PUSH = "SELECT threads_push(%s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s)"
_PULL = "SELECT changed, answer FROM threads_pull(%s, %s, %s, %s, %s, %s)"


class ThreadError(Exception):
    """A refusal. `status` is one of HTTP, `code` is stable; `more` are further fields of the answer."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.more = more


@dataclass(frozen=True)
class Member:
    """Whom a request stands for: a principal (`user:ann`, `token:<id>`) of a team, how it is shown, and its role in the
    team."""

    team: uuid.UUID
    principal: str
    name: str
    role: str
    actor: Mapping[str, str | None] = field(default_factory=dict)
    """Kind, name, id and person for the audit log, and the request's id."""

    @property
    def audited(self) -> str:
        return json.dumps({"kind": "user", "name": self.name, **self.actor})

    @property
    def key(self) -> tuple[uuid.UUID, str, str]:
        return self.team, self.principal, self.role


def _no_thread() -> ThreadError:
    return ThreadError(404, "no-thread", "there is no such thread, or none that you may see")


class ThreadService:
    """Used by one event loop; connects when the first request needs it."""

    def __init__(
        self,
        database: Database,
        stopping: Callable[[], bool] = lambda: False,
        *,
        most_messages: int = MOST_MESSAGES,
        cache: Cache | None = None,
        summary: Callable[[Sequence[Said]], str] = summarise,
    ) -> None:
        self._database = database
        self.cache = cache or open_cache(None)
        self._summary = summary
        self.store = Store(database.url)
        self.copier = Copier(database, stopping)
        self.hub = Hub(self.store, stopping, self.copier.ask)
        self._most_messages = most_messages

    async def push(self, member: Member, push: Push) -> dict[str, Any]:
        """Applies a push and answers each mutation. Raises `ThreadError` 409 `gap`, `client` or `protocol`."""
        if push.protocol != PROTOCOL:
            raise ThreadError(
                400,
                "protocol",
                f"this server speaks version {PROTOCOL} of the protocol: update the client",
                supported=[PROTOCOL],
            )
        waiting = [stored(one) for one in push.mutations]
        if are_open(waiting):
            await asyncio.to_thread(resolve, self._database, member.team, waiting)
        results: list[dict[str, Any]] = []
        merged: dict[str, dict[str, Any]] = {}
        tries = 0
        while True:
            row = await self.store.call(
                _PUSH,
                (
                    *(member.team, member.principal, member.name, member.role, push.client),
                    *(json.dumps(waiting), json.dumps(merged), self._most_messages),
                ),
            )
            answer: dict[str, Any] = row[0]
            if "error" in answer:
                raise _refused(answer)
            results += answer["results"]
            if answer["changed"]:
                self.hub.announce(member.team)
            for task in answer["tasks"]:
                self.copier.ask(member.team, uuid.UUID(task))
            wanted = answer.get("merge")
            if wanted is None:
                await self._go_on(member, results)
                return {"last_mutation_id": answer["last_mutation_id"], "results": results}
            waiting = [one for one in waiting if one["id"] >= wanted["id"]]
            tries = tries + 1 if str(wanted["id"]) in merged else 1
            text = None
            if tries <= _MERGES:
                text = await asyncio.to_thread(merge_text, wanted["base"], waiting[0]["text"], wanted["theirs"])
            merged = {str(wanted["id"]): {"revision": wanted["revision"], "text": text}}

    async def pull(self, member: Member, client: uuid.UUID | None, cursor: str | None, wait: float = 0.0) -> str:
        """What changed since `cursor`, as JSON; after at most `wait` seconds if nothing did."""
        position = _position(cursor)
        deadline = asyncio.get_running_loop().time() + min(wait, MOST_WAIT)
        while True:
            seen = self.hub.changes(member.team) if wait else 0
            changed, answer = await self.store.call(_PULL, (*member.key, client, position, MOST_FEED))
            left = deadline - asyncio.get_running_loop().time()
            if changed or left <= 0:
                return str(answer)
            position = int(json.loads(answer)["cursor"])
            if not await self.hub.wait(member.team, seen, left):
                return str(answer)

    async def ops(self, member: Member, thread: uuid.UUID, client: uuid.UUID | None, after: int, most: int) -> str:
        """A page of ops, as JSON. That the member may read it, and the thread's version, are asked of the database each
        time; the page itself may come from the cache."""
        name, key = f"{after}:{most}", str(thread)
        with suppress(CacheUnavailable):
            page = await self.cache.get(key, name)
            if page is not None:
                values = (*member.key, client, thread)
                row = await self.store.call(
                    "SELECT head, acl, last_mutation FROM threads_head(%s, %s, %s, %s, %s)", values
                )
                if row[0] is None:
                    raise _no_thread()
                if page.whole or page.version == row[0]:
                    return _ops(thread, row[0], row[1], row[2], page.body.decode())
        row = await self.store.call(
            "SELECT head, acl, last_mutation, ops, last_seq FROM threads_ops(%s, %s, %s, %s, %s, %s, %s)",
            (*member.key, client, thread, after, most),
        )
        if row[0] is None:
            raise _no_thread()
        head, acl, last_mutation, ops, last = row
        whole = last is not None and last == after + most
        if whole or len(ops) >= CACHED_CHARACTERS:
            with suppress(CacheUnavailable):
                await self.cache.put(key, name, Page(head, whole, ops.encode()))
        return _ops(thread, head, acl, last_mutation, ops)

    async def messages(self, member: Member, thread: uuid.UUID, before: int, most: int) -> str:
        return await self._read("SELECT threads_messages(%s, %s, %s, %s, %s, %s)", (*member.key, thread, before, most))

    async def show(self, member: Member, thread: uuid.UUID) -> str:
        return await self._read("SELECT threads_show(%s, %s, %s, %s)", (*member.key, thread))

    async def listing(
        self, member: Member, *, parent: uuid.UUID | None, before: tuple[datetime, uuid.UUID] | None, most: int
    ) -> list[dict[str, Any]]:
        at, identity = before or (None, None)
        row = await self.store.call(
            "SELECT threads_list(%s, %s, %s, %s, %s, %s, %s)", (*member.key, parent, at, identity, most)
        )
        found: list[dict[str, Any]] = json.loads(row[0])
        return found

    async def share(self, member: Member, thread: uuid.UUID, wanted: Sharing) -> dict[str, Any]:
        """Raises `ThreadError`: 404, 403 `role`, 409 `acl` with what is there."""
        secret, digest, role, until = None, None, None, None
        if wanted.link is not None:
            secret = secrets.token_urlsafe(24)
            digest, role = hashlib.sha256(secret.encode()).digest(), wanted.link.role
            until = datetime.now(UTC) + timedelta(hours=wanted.link.hours)
        row = await self.store.call(
            "SELECT threads_share(%s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s, %s::jsonb)",
            (
                *(*member.key, thread, wanted.acl_epoch, wanted.visibility, json.dumps(wanted.grants)),
                *(digest, role, until, member.audited),
            ),
        )
        answer: dict[str, Any] = row[0]
        if "error" in answer:
            raise _refused(answer)
        with suppress(CacheUnavailable):
            await self.cache.forget(str(thread))
        return {**answer, "link": secret} if secret else answer

    async def join(self, member: Member, secret: str) -> uuid.UUID:
        digest = hashlib.sha256(secret.encode()).digest()
        row = await self.store.call(
            "SELECT threads_join(%s, %s, %s, %s, %s::jsonb)", (*member.key, digest, member.audited)
        )
        if row[0] is None:
            raise ThreadError(404, "link", "the link is unknown or has expired")
        found: uuid.UUID = row[0]
        return found

    async def turn(self, member: Member, thread: uuid.UUID, wanted: Turn) -> dict[str, Any]:
        """Raises `ThreadError`: 404, 403 `role`, 409 `turn` if another holder has it or the epoch is over."""
        row = await self.store.call(
            "SELECT threads_turn(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                *(member.team, member.principal, member.name, member.role, thread),
                *(wanted.action, wanted.holder, wanted.epoch, wanted.seconds),
            ),
        )
        answer: dict[str, Any] = row[0]
        if "error" in answer:
            raise _refused(answer)
        return answer

    async def go_on(self, member: Member, thread: uuid.UUID) -> uuid.UUID:
        """The thread that goes on where this one ends, made with a summary of it if there is none yet."""
        said: list[Said] = []
        before = LARGEST
        while len(said) < MOST_MESSAGES:
            page = json.loads(await self.messages(member, thread, before, 1000))["messages"]
            if not page:
                break
            said = [Said(one["author"], one["role"], one["text"]) for one in page if not one["deleted"]] + said
            before = page[0]["seq"]
        text = await asyncio.to_thread(self._summary, said)
        row = await self.store.call(
            "SELECT threads_continue(%s, %s, %s, %s, %s, %s, %s, %s)",
            (member.team, member.principal, member.name, member.role, thread, uuid.uuid4(), uuid.uuid4(), text),
        )
        if "error" in row[0]:
            raise _refused(row[0])
        return uuid.UUID(row[0]["thread"])

    async def _go_on(self, member: Member, results: list[dict[str, Any]]) -> None:
        for one in results:
            if one.get("code") == "full" and "continues_in" not in one:
                with suppress(ThreadError):  # a commenter's message waits for somebody who may
                    one["continues_in"] = str(await self.go_on(member, uuid.UUID(one["thread"])))

    async def of_task(self, member: Member, task: uuid.UUID) -> uuid.UUID:
        """The thread of a task. Raises `core.tasks.TaskNotFound`."""
        found = await asyncio.to_thread(ensure_thread, self._database, member.team, task)
        await asyncio.to_thread(copy_trajectory, self._database, member.team, task)
        self.hub.changes(member.team)
        return found

    async def put_blob(self, member: Member, thread: uuid.UUID, digest: bytes, kind: str, content: bytes) -> None:
        row = await self.store.call(
            "SELECT threads_put_blob(%s, %s, %s, %s, %s, %s, %s, %s)",
            (*member.key, thread, digest, kind, content, MOST_BLOBS),
        )
        if row[0] != "stored":
            raise _refused({"error": row[0]})

    async def blob(self, member: Member, thread: uuid.UUID, digest: bytes) -> tuple[str, bytes]:
        row = await self.store.call(
            "SELECT kind, content FROM threads_blob(%s, %s, %s, %s, %s)", (*member.key, thread, digest)
        )
        if row is None or row[1] is None:
            raise ThreadError(404, "no-blob", "the thread has no such attachment")
        return row[0], bytes(row[1])

    async def close(self) -> None:
        await self.cache.close()
        await self.hub.close()
        await self.copier.close()
        await self.store.close()

    async def _read(self, query: str, values: Sequence[Any]) -> str:
        row = await self.store.call(query, values)
        if row[0] is None:
            raise _no_thread()
        return str(row[0])


def _ops(thread: uuid.UUID, head: int, acl: int, last_mutation: int, ops: str) -> str:
    known = f'"thread": "{thread}", "head": {head}, "acl_epoch": {acl}, "last_mutation_id": {last_mutation}'
    return f'{{{known}, "ops": {ops}}}'


def _refused(answer: dict[str, Any]) -> ThreadError:
    more = {key: value for key, value in answer.items() if key != "error"}
    match answer["error"]:
        case "no-thread":
            return _no_thread()
        case "role":
            return ThreadError(403, "thread-role", "your role in this thread does not allow this")
        case "gap":
            return ThreadError(409, "gap", f"mutation {answer['expected']} comes next", **more)
        case "client":
            return ThreadError(409, "client", "this client id is in use by somebody else: take a new one")
        case "acl":
            return ThreadError(409, "acl", "the sharing was changed meanwhile: look at it, and ask again", **more)
        case "turn":
            return ThreadError(409, "turn", "the turn is over, or somebody else has it", **more)
        case "full":
            return ThreadError(409, "full", f"a thread has at most {MOST_BLOBS} attachments")
        case other:
            raise AssertionError(other)


def _position(cursor: str | None) -> int | None:
    """A cursor that no server gave counts as one from the future, which begins again."""
    if not cursor:
        return None
    return int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) <= 18 else 10**18
