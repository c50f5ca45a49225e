"""Several clients, one service and its database, an unreliable network between them, and what must hold at all times.

The checks read the log as it is stored, and fold it with `threads.replica`; what a client shows is compared with that.
"""

import asyncio
import json
import random
import tempfile
import uuid
from pathlib import Path
from typing import Any

import psycopg

from core.database import Database
from tests.threads.conftest import member
from tests.threads.transport import DirectTransport
from threads.client.client import ThreadClient
from threads.client.store import load_replica
from threads.client.sync import Sync
from threads.client.transport import Busy, Offline, Refused
from threads.model import Push, Sharing, Turn
from threads.replica import Replica
from threads.service import Member, ThreadError, ThreadService

NAMES = ("ann", "ann", "bob", "eve")
ROLES = {"ann": "operator", "bob": "operator", "eve": "viewer"}
SKEWS = (0.0, 300.0, -300.0, 10 * 365 * 86_400.0)


class Device:
    """A client on a file, with what its user was told: the numbers and ids of what was kept."""

    def __init__(self, world: "World", number: int, folder: Path) -> None:
        self.world, self.number = world, number
        self.who = member(NAMES[number], ROLES[NAMES[number]], world.team)
        self.path = folder / f"{number}.db"
        self.transport = DirectTransport(world.service, world.runner.run, self.who)
        self.transport.served = lambda path, answer: world.check_rights(self.who, path, answer)
        self.said: dict[str, tuple[str, str]] = {}
        """By message: thread and text of what its user was told is kept, and what the log then must hold, or its dead
        letters."""
        self.heads: dict[str, int] = {}
        self.client = self._start()

    def _start(self) -> ThreadClient:
        client = ThreadClient(self.path, self.transport, clock=lambda: self.world.now + SKEWS[self.number])
        client.store._db.execute("PRAGMA synchronous = OFF")  # no power is lost here
        return client

    def crash(self) -> None:
        """The process is killed: what was not in its file is gone."""
        self.client.store.close()
        self.client = self._start()

    def steps(self, name: str, fate: str) -> None:
        """One step of syncing, with a network that does `fate` to its first request."""
        fates = [fate]
        self.transport.fate = lambda path: fates.pop() if fates else ""
        sync: Sync = self.client.sync
        try:
            if name == "push":
                sync.push_safely()
            elif name == "pull":
                sync.pull()
            else:
                sync.open(name)
        except (Offline, Busy):
            pass
        except Refused as refused:
            assert refused.status == 404, refused
        finally:
            self.transport.fate = lambda path: ""


class World:
    def __init__(self, database: Database, owner_url: str) -> None:
        self.database, self.now = database, 1_900_000_000.0
        self.team = uuid.uuid4()
        with database.system() as connection:
            connection.execute("INSERT INTO teams (id, name) VALUES (%s, %s)", (self.team, f"t{self.team.hex[:12]}"))
        self.owner = psycopg.connect(owner_url, autocommit=True, options="-c search_path=penstock,public")
        self.runner = asyncio.Runner()
        self.service = ThreadService(database)
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.devices = [Device(self, number, Path(self.folder.name)) for number in range(len(NAMES))]
        self.threads: list[str] = []
        self.owners: dict[str, str] = {}
        self.sharing: dict[str, tuple[str, frozenset[str]]] = {}
        self.turns: dict[str, int] = {}
        self.uses: list[tuple[str, str, int]] = []
        self.late: tuple[psycopg.Connection[Any], uuid.UUID, int] | None = None
        self.late_client, self.late_last = uuid.uuid4(), 0
        self.counter = 0
        self._late_thread()

    def text(self) -> str:
        self.counter += 1
        return f"text {self.counter}\n"

    # What may happen

    def create(self, device: Device, visibility: str) -> None:
        thread = device.client.create(f"thread {len(self.threads)}", visibility=visibility)  # type: ignore[arg-type]
        self.threads.append(thread)
        self.owners[thread] = device.who.name
        self.sharing[thread] = (visibility, frozenset())

    def say(self, device: Device, thread: str) -> None:
        text = self.text()
        device.said[device.client.say(thread, text)] = (thread, text)

    def change(self, device: Device, kind: str, thread: str, pick: float) -> None:
        shown = [one for one in device.client.snapshot(thread).messages if not one.deleted]
        if not shown:
            return
        one = shown[int(pick * len(shown))]
        if kind == "edit":
            lines = one.text.splitlines(keepends=True)
            lines.insert(int(pick * 7) % (len(lines) + 1), self.text())
            device.client.edit(thread, one.id, "".join(lines), resolve=pick > 0.5)
        elif kind == "delete":
            device.client.delete(thread, one.id)
        elif kind == "truncate":
            device.client.truncate(thread, one.seq)
        else:
            device.client.rename(thread, self.text().strip())

    def share(self, thread: str, visibility: str, names: frozenset[str]) -> None:
        who = next(one.who for one in self.devices if one.who.name == self.owners[thread])
        if who.role == "viewer":
            return
        grants = {f"user:{name}": "writer" for name in names} if visibility == "listed" else {}
        try:
            epoch = json.loads(self._run(self.service.show(who, uuid.UUID(thread))))["acl_epoch"]
            wanted = Sharing.model_validate({"acl_epoch": epoch, "visibility": visibility, "grants": grants})
            self._run(self.service.share(who, uuid.UUID(thread), wanted))
        except ThreadError as error:
            assert error.status == 404, error
            return
        self.sharing[thread] = (visibility, names if visibility == "listed" else frozenset())

    def turn(self, device: Device, thread: str, action: str) -> None:
        """Claims, releases or loses a turn, or writes a tool use or result as the last known holder."""
        identity = uuid.UUID(thread)
        if action == "lose":
            self.owner.execute("UPDATE threads SET turn_until = now() - interval '1 second' WHERE id = %s", (identity,))
        elif action in ("claim", "release"):
            try:
                wanted = Turn(action=action, holder=str(device.number), epoch=self.turns.get(thread, 0), seconds=600)
                self.turns[thread] = self._run(self.service.turn(device.who, identity, wanted))["epoch"]
            except ThreadError as error:
                assert error.code in ("turn", "no-thread", "thread-role"), error
        else:
            epoch = self.turns.get(thread, 0)
            if action == "tool_use":
                made = device.client.say(thread, "", role=action, turn=epoch, body={"tool": {"name": "search"}})
                self.uses.append((thread, made, epoch))
            elif self.uses:
                place, use, epoch = self.uses[self.counter % len(self.uses)]
                device.client.say(place, "found", role="tool_result", turn=epoch, body={"tool_use": use})

    def repeat(self, device: Device, pick: float) -> None:
        """The network delivers an old push again, out of order; its answer reaches nobody."""
        if device.transport.pushed:
            old = device.transport.pushed[int(pick * len(device.transport.pushed))]
            try:
                self._run(self.service.push(device.who, Push.model_validate(old)))
            except ThreadError as error:
                assert error.code in ("gap", "client"), error

    def _late_thread(self) -> None:
        writer = member("late", "operator", self.team)
        self.late_place = str(uuid.uuid4())
        self._late_push({"kind": "create", "title": "late", "visibility": "team"}, writer)
        self.finish_late()
        self.owners[self.late_place] = "late"
        self.sharing[self.late_place] = ("team", frozenset())

    def _late_push(self, mutation: dict[str, Any], writer: Member) -> None:
        connection = psycopg.connect(self.database.url, options="-c search_path=penstock,public")
        connection.execute("SET ROLE penstock_member")
        self.late_last += 1
        given = json.dumps([{"id": self.late_last, "thread": self.late_place, **mutation}])
        connection.execute(
            "SELECT threads_push(%s, %s, %s, %s, %s, %s::jsonb, '{}', 10000)",
            (writer.team, writer.principal, writer.name, writer.role, self.late_client, given),
        )
        self.late = (connection, self.late_client, self.late_last)

    def begin_late(self) -> None:
        """A push whose transaction takes long to commit."""
        if self.late is None:
            append = {"kind": "append", "message": str(uuid.uuid4()), "role": "user", "text": self.text()}
            self._late_push(append, member("late", "operator", self.team))

    def finish_late(self) -> None:
        if self.late is not None:
            connection, self.late = self.late[0], None
            connection.commit()
            connection.close()

    # What must hold

    def may_read(self, who: Member, thread: str) -> bool:
        visibility, names = self.sharing[thread]
        return who.name == self.owners[thread] or visibility == "team" or who.name in names

    def check_rights(self, who: Member, path: str, answer: Any) -> None:
        """Nothing of a thread is served to whom its sharing, as acknowledged, does not let read it."""
        given = [one["id"] for one in answer["threads"]] if path == "/sync/pull" else []
        if path.endswith("/ops"):
            given = [answer["thread"]]
        for thread in given:
            assert self.may_read(who, thread), f"{who.name} was given {thread}"

    def check(self) -> None:
        """All that holds after each step."""
        logs = self._logs()
        folded: dict[str, dict[int, dict[str, tuple[Any, ...]]]] = {}
        for thread, ops in logs.items():
            assert [op["seq"] for op in ops] == list(range(1, len(ops) + 1)), f"a gap in {thread}"
            numbers: dict[str, int] = {}
            appended: set[str] = set()
            for op in ops:
                if op["client"] is not None:
                    assert op["mutation"] > numbers.get(op["client"], 0), "a client's order was not kept"
                    numbers[op["client"]] = op["mutation"]
                if op["kind"] == "append":
                    assert op["body"]["id"] not in appended, "a message is in the log twice"
                    appended.add(op["body"]["id"])
            folded[thread] = self._folds(ops)
        self._check_projection(folded)
        self._check_tool_uses()
        for device in self.devices:
            self._check_device(device, folded)

    def _check_device(self, device: Device, folded: dict[str, dict[int, dict[str, tuple[Any, ...]]]]) -> None:
        store = device.client.store
        with store.reading() as db:
            opened = [row[0] for row in db.execute("SELECT id FROM threads WHERE head IS NOT NULL")]
            replicas = {thread: load_replica(db, thread) for thread in opened}
        for thread in set(device.heads) - set(opened):
            del device.heads[thread]  # it was purged
        for thread, replica in replicas.items():
            assert replica is not None
            assert replica.head >= device.heads.get(thread, 0), "what was read went back"
            device.heads[thread] = replica.head
            wanted = folded.get(thread, {}).get(replica.head, {})
            assert _state(replica) == wanted, f"a replica differs from the fold of the log at {replica.head}"
        dead = {one.mutation.get("message") for one in device.client.dead_letters()}
        shown: dict[str, set[str]] = {}
        for message, (thread, _) in device.said.items():
            if message in dead or not device.heads.get(thread):  # it was never read
                continue
            if thread not in shown:
                shown[thread] = {one.id for one in device.client.snapshot(thread).messages}
            assert message in shown[thread], "one's own message is not shown"

    def _check_projection(self, folded: dict[str, dict[int, dict[str, tuple[Any, ...]]]]) -> None:
        rows = self.owner.execute(
            "SELECT thread_id::text, id::text, seq, revision, text, deleted, siblings FROM thread_messages "
            "WHERE team_id = %s",
            (self.team,),
        ).fetchall()
        found: dict[str, dict[str, tuple[Any, ...]]] = {}
        for thread, identity, *state, siblings in rows:
            found.setdefault(thread, {})[identity] = (*state, tuple(one["seq"] for one in siblings))
        for thread, states in folded.items():
            assert found.get(thread, {}) == states[max(states)], "the projection differs from the fold of the log"

    def _check_tool_uses(self) -> None:
        rows = self.owner.execute(
            "SELECT m.id FROM thread_messages m JOIN threads t ON t.id = m.thread_id WHERE m.team_id = %s AND m.open "
            "AND (m.turn <> t.turn_epoch OR t.turn_holder IS NULL)",
            (self.team,),
        ).fetchall()
        assert rows == [], "a tool use was left open by a turn that is over"

    def settle(self) -> None:
        """The network works again: everything is sent, and all read the same."""
        self.finish_late()
        for _ in range(3):
            for device in self.devices:
                device.client.sync.sync()
        self.check()
        logs = self._logs()
        there = {op["body"]["id"] for ops in logs.values() for op in ops if op["kind"] == "append"}
        for device in self.devices:
            assert device.client.sync.waiting() == 0, "the queue is not empty"
            dead = {one.mutation.get("message") for one in device.client.dead_letters()}
            for message in device.said:
                assert message in there or message in dead, "what was acknowledged to a user is lost"
            with device.client.store.reading() as db:
                rows = db.execute("SELECT id, head FROM threads WHERE opened").fetchall()
            for thread, head in rows:
                if thread in logs:
                    assert self.may_read(device.who, thread), "a thread was not purged"
                    assert head == len(logs[thread]), "a client lacks what changed"
            listed = {view["id"] for view in device.client.listing()}
            wanted = {thread for thread in logs if self.may_read(device.who, thread)}
            assert listed == wanted, "a list differs from what may be read"

    def close(self) -> None:
        if self.late is not None:
            self.late[0].close()
        for device in self.devices:
            device.client.store.close()
        self._run(self.service.close())
        self.runner.close()
        self.owner.close()
        self.folder.cleanup()

    def _run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    def _logs(self) -> dict[str, list[dict[str, Any]]]:
        rows = self.owner.execute(
            "SELECT thread_id::text, seq, kind, author, client_id::text, mutation_id, body FROM thread_ops "
            "WHERE team_id = %s ORDER BY thread_id, seq",
            (self.team,),
        ).fetchall()
        logs: dict[str, list[dict[str, Any]]] = {}
        for thread, *rest in rows:
            logs.setdefault(thread, []).append(
                dict(zip(("seq", "kind", "author", "client", "mutation", "body"), rest, strict=True))
            )
        return logs

    @staticmethod
    def _folds(ops: list[dict[str, Any]]) -> dict[int, dict[str, tuple[Any, ...]]]:
        """The state after each op."""
        replica, states = Replica(), {0: {}}  # type: ignore[var-annotated]
        for op in ops:
            replica.fold(op)
            states[op["seq"]] = _state(replica)
        return states


def _state(replica: Replica) -> dict[str, tuple[Any, ...]]:
    return {
        one.id: (one.seq, one.revision, one.text, one.deleted, tuple(each["seq"] for each in one.siblings))
        for one in replica.messages.values()
    }


def random_step(world: World, chance: random.Random) -> None:
    """One step, for tests that choose by a seed."""
    device = chance.choice(world.devices)
    if not world.threads:
        world.create(device, "team")
    known = [one for one in world.threads if one in device.heads]
    thread = chance.choice(known if known and chance.random() < 0.8 else world.threads)
    match chance.choices(STEPS, WEIGHTS)[0]:
        case "create":
            world.create(device, chance.choice(("private", "team")))
        case "say":
            world.say(device, thread)
        case "edit" | "delete" | "truncate" | "rename" as kind:
            world.change(device, kind, thread, chance.random())
        case "push" | "pull" as step:
            device.steps(step, chance.choice(FATES))
        case "open":
            device.steps(chance.choice([*world.threads, world.late_place]), chance.choice(FATES))
        case "crash":
            device.crash()
        case "repeat":
            world.repeat(device, chance.random())
        case "share":
            names = frozenset(chance.sample(("ann", "bob", "eve"), 2))
            world.share(thread, chance.choice(("private", "team", "listed")), names)
        case "turn":
            world.turn(device, thread, chance.choice(("claim", "release", "lose", "tool_use", "tool_result")))
        case "late":
            world.finish_late() if world.late else world.begin_late()
        case "time":
            world.now += chance.choice((1.0, 3600.0, -300.0))


STEPS = (
    *("create", "say", "edit", "delete", "truncate", "rename", "push", "pull", "open", "crash", "repeat", "share"),
    *("turn", "late", "time"),
)
WEIGHTS = (1, 10, 12, 2, 1, 2, 14, 14, 6, 1, 3, 2, 5, 3, 1)
FATES = ("", "", "", "request", "answer", "twice")
