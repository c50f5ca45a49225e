"""A fake forge whose webhooks reach several platforms, each with a gateway and a database of its own."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr

import deploy.fake_forge.state
from assets.context.indexing.refresh import refresh
from assets.context.source.sources import Forge, add_source
from assets.context.tickets import inbox
from assets.platform import Platform
from assets.sweeps.places import list_places, note_places
from assets.sweeps.sweep import Swept, sweep_due
from core.credentials import Credentials, ensure_secrets
from core.database.embedded import EmbeddedServer
from core.events import CHANGES, DEFAULT_TEAM, task_id
from core.intake import CHANGED, Target, TaskIntent, receive
from core.intake import Delivery as Delivered
from core.settings import Settings
from core.tickets import TICKET_CHANGED
from deploy.fake_forge.deliveries import Deliveries, Delivery
from gateway.app import create_app
from gateway.server import Server
from tests.forge_arena import REPOSITORY, FakeArena, git

Rows = list[tuple[Any, ...]]
TASK = task_id(DEFAULT_TEAM, "generic:one")
BRANCH = f"penstock/{TASK}"
TICKETS = (
    "SELECT key, kind, title, state, status, labels, assignees, author, author_id, url, hidden, commit, closes, "
    "created_at, updated_at, closed_at FROM tickets ORDER BY key, kind"
)
PARTS = (
    "SELECT key, part, text, author, author_id, association, url, hidden, created_at, updated_at FROM ticket_parts "
    "ORDER BY key, part"
)
COMMANDS = (
    "SELECT ticket_key, author, author_id, command, comment_url FROM commands ORDER BY ticket_key, author, command"
)
STARTED = "SELECT ticket_key, starter, starter_id FROM tasks ORDER BY ticket_key"


@dataclass
class Side:
    """One platform with the source `shop`, and the deliveries that reach it."""

    platform: Platform
    receiver: Deliveries
    offsets: dict[int, int] = field(default_factory=dict)

    def sweep(self, **options: Any) -> list[Swept]:
        return list(sweep_due(self.platform, forced=True, sleep=lambda _: None, **options))

    def wait_for_looks(self) -> None:
        """From now on only sweeps that a delivery asks for are due."""
        note_places(self.platform.database, list_places(self.platform.database))
        with self.platform.database.system() as connection:
            connection.execute("UPDATE sweeps SET next_at = now() + interval '1 hour'")

    def look(self) -> None:
        """Does what deliveries have asked for: Gitea's do not say everything."""
        assert all(one.error is None for one in sweep_due(self.platform))

    def rows(self, query: str) -> Rows:
        with self.platform.database.team(DEFAULT_TEAM) as connection:
            return connection.execute(query.encode()).fetchall()

    def settle(self) -> None:
        """Does what the sensors and runs of a platform would: applies changes of tickets, and indexes a source that was
        announced as changed."""
        events = []
        while records := self.platform.log.read(CHANGES, self.offsets).records:
            events += [record.event for record in records]
            self.offsets = {0: records[-1].offset + 1}
        inbox.accept(self.platform.database, (event for event in events if event.type == TICKET_CHANGED))
        while True:
            with self.platform.database.team(DEFAULT_TEAM) as connection:
                if not inbox.drain(connection, DEFAULT_TEAM, "shop").total:
                    break
        if any(event.type == CHANGED for event in events):
            self.index()

    def index(self) -> None:
        settings = self.platform.settings
        refresh(self.platform.database, DEFAULT_TEAM, "shop", mirrors=settings.home / "mirrors", roots=settings.roots)

    @property
    def state(self) -> dict[str, Rows]:
        """What must be the same whatever was delivered."""
        return {"tickets": self.rows(TICKETS), "texts": self.rows(PARTS), "commands": self.rows(COMMANDS)}

    def differences(self, other: "Side") -> dict[str, Rows]:
        """The rows that only one of both sides has."""
        mine, theirs = self.state, other.state
        found = {name: [*_only(mine[name], theirs[name]), *_only(theirs[name], mine[name])] for name in mine}
        return {name: rows for name, rows in found.items() if rows}

    @property
    def indexed(self) -> str:
        return self.platform.visible_commit(DEFAULT_TEAM, "shop")


def store_publication(platform: Platform, source: str, target: str, location: str) -> None:
    """What a platform stores once it has published the task `TASK` as the pull request at `location`."""
    with platform.database.team(DEFAULT_TEAM) as connection:
        delivery = Delivered("generic", "one", "task.requested", b"0" * 32)
        receive(connection, platform.log, DEFAULT_TEAM, delivery, TaskIntent(Target(name=source), "x is too small"))
        connection.execute("INSERT INTO attempts (team_id, task_id, attempt) VALUES (%s, %s, 1)", (DEFAULT_TEAM, TASK))
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, body) VALUES (%s, %s, 1, %s, %s)",
            (DEFAULT_TEAM, TASK, target, Jsonb({"source": source})),
        )
        connection.execute("UPDATE publications SET state = 'published', location = %s", (location,))


def _only(rows: Rows, others: Rows) -> Rows:
    return [row for row in rows if row not in others]


class Clock:
    """The forge's clock: it begins two hours ago, and goes on with each look."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self.at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)

    def catch_up(self) -> None:
        """To about the real time."""
        self.at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=self._random.randint(3, 20))
        return self.at


@dataclass
class Stage:
    arena: FakeArena
    make_side: Callable[..., Side]
    clock: Clock

    def side(self, *, drops: Callable[[Delivery], bool] = lambda _: False, **settings: Any) -> Side:
        return self.make_side(drops, **settings)

    def head(self) -> str:
        return self.arena.head("main") or ""

    def commit(self, branch: str, text: str) -> str:
        """A commit on top of a branch, which does not have it yet."""
        path = self.arena.forge.repository(REPOSITORY).path
        parent = git(path, "rev-parse", branch).strip()
        blob = self.arena.folder / "blob"
        blob.write_text(f"x = {text!r}\n")
        listed = f"100644 blob {git(path, 'hash-object', '-w', str(blob)).strip()}\tm.py\n"
        (self.arena.folder / "tree").write_text(listed)
        tree = _tree(path, listed)
        return git(path, "commit-tree", tree, "-p", parent, "-m", text).strip()


def _tree(path: Path, listed: str) -> str:
    import subprocess

    command = ["git", "-C", str(path), "mktree"]
    return subprocess.run(command, input=listed, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@contextmanager
def gateway(settings: Settings, platform: Platform, credentials: Credentials) -> Iterator[str]:
    """A gateway behind a real socket, in a thread of this process; yields its URL."""
    server = Server(create_app(settings, platform.database, credentials), settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 300
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        server.handle_exit(signal.SIGTERM, None)
        thread.join(300)


@pytest.fixture(params=["github", "gitlab", "gitea"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage(
    dialect: str, tmp_path: Path, postgres_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    clock = Clock(1)
    monkeypatch.setattr(deploy.fake_forge.state, "now", clock)
    arena = FakeArena(tmp_path / "arena", dialect)
    for who in ("ada", "bob", "eve", "helper", "penstock"):
        arena.forge.add_user(who)
    names: list[str] = []
    with ExitStack() as stack:

        def make(drops: Callable[[Delivery], bool], **changed: Any) -> Side:
            name = f"sweep_{tmp_path.name.replace('-', '_')[:30]}_{len(names)}"
            postgres_server.ensure_database(name, template="template_penstock")
            names.append(name)
            token = {f"{dialect}_token": SecretStr(arena.token)}
            settings = Settings(home=tmp_path / name, gateway_port=0, **token, **changed)
            platform = Platform(settings, postgres_server.url(name))
            stack.callback(platform.close)
            credentials = ensure_secrets(settings, platform.database)
            add_source(
                platform.database,
                DEFAULT_TEAM,
                "shop",
                arena.location,
                repository=REPOSITORY,
                forge=Forge(dialect, arena.forge.url),
            )
            with platform.database.team(DEFAULT_TEAM) as connection:
                connection.execute("UPDATE sources SET created_at = now() - interval '3 hours'")
            url = stack.enter_context(gateway(settings, platform, credentials))
            secret = getattr(credentials, f"{dialect}_secrets")[0]
            receiver = arena.forge.deliver_to(f"{url}/webhooks/{dialect}", secret, dialect=dialect, drops=drops)
            side = Side(platform, receiver)
            side.index()
            return side

        yield Stage(arena, make, clock)
        arena.forge.wait_for_deliveries()
        assert arena.forge.failures == []
        assert [one.path for one in arena.forge.unknown] == []
    arena.stop()
    with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
