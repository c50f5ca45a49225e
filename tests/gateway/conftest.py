"""A gateway over a real database, in this process or in one of its own, and senders that sign as services do."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from core.access.roles import Role
from core.access.tokens import create_token
from core.credentials import Credentials, ensure_secrets
from core.database import Database
from core.events import DEFAULT_TEAM
from core.settings import Settings
from core.signatures import sign_github, sign_standard
from gateway.app import create_app
from gateway.server import DeadlineHttp, Server
from tests.gateway.forge_cases import Forges

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", gateway_port=0, metrics_seconds=0)


@pytest.fixture
def credentials(settings: Settings, database: Database) -> Credentials:
    return ensure_secrets(settings, database)


@pytest.fixture
def make_client(
    settings: Settings, database: Database, credentials: Credentials
) -> Iterator[Callable[..., TestClient]]:
    """Clients of a gateway in this process; settings can be changed by keyword."""
    opened = []

    def make(body_seconds: float = 10.0, max_streams: int = 8, **changed: Any) -> TestClient:
        app = create_app(
            settings.model_copy(update=changed),
            database,
            credentials,
            body_seconds=body_seconds,
            max_streams=max_streams,
        )
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    return make_client()


@pytest.fixture
def authorised(credentials: Credentials) -> dict[str, str]:
    return {"Authorization": f"Bearer {credentials.api_token}"}


@pytest.fixture
def add_source(database: Database) -> Callable[..., None]:
    def add(name: str = "hello", repository: str | None = "codertocat/hello-world") -> None:
        with database.team(DEFAULT_TEAM) as connection:
            connection.execute(
                "INSERT INTO sources (team_id, name, location, repository) VALUES (%s, %s, '/srv/hello', %s)",
                (DEFAULT_TEAM, name, repository),
            )

    return add


@dataclass(frozen=True)
class Sender:
    """Makes signed requests; how they are sent is the caller's choice."""

    credentials: Credentials

    def github(
        self, payload: Any, event: str = "issues", delivery: str | None = None, secret: str | None = None
    ) -> dict[str, Any]:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return {
            "url": "/webhooks/github",
            "content": body,
            "headers": {
                "Content-Type": "application/json",
                "X-GitHub-Event": event,
                "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
                "X-Hub-Signature-256": sign_github(secret or self.credentials.github_secrets[0], body),
            },
        }

    def generic(
        self, payload: Any, delivery: str | None = None, secret: str | None = None, at: int | None = None
    ) -> dict[str, Any]:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        delivery, at = delivery or f"msg_{uuid.uuid4().hex}", at or int(time.time())
        return {
            "url": "/webhooks/generic",
            "content": body,
            "headers": {
                "Content-Type": "application/json",
                "webhook-id": delivery,
                "webhook-timestamp": str(at),
                "webhook-signature": sign_standard(secret or self.credentials.generic_secrets[0], delivery, at, body),
            },
        }


@pytest.fixture
def sender(credentials: Credentials) -> Sender:
    return Sender(credentials)


@pytest.fixture
def issue() -> dict[str, Any]:
    return {
        "action": "opened",
        "issue": {
            "title": "Total is wrong",
            "body": "It should be 3.",
            "html_url": "https://github.com/Codertocat/Hello-World/issues/1",
            "user": {"login": "Codertocat"},
        },
        "repository": {"full_name": "Codertocat/Hello-World"},
    }


@pytest.fixture
def stored(database: Database) -> Callable[[str], list[tuple[Any, ...]]]:
    """Rows of the default team, by query."""

    def query(statement: str) -> list[tuple[Any, ...]]:
        with database.team(DEFAULT_TEAM) as connection:
            return connection.execute(statement.encode()).fetchall()

    return query


@pytest.fixture
def run_gateway(settings: Settings, credentials: Credentials, database_url: str, tmp_path: Path) -> Callable[..., Any]:
    """A context manager: a gateway in a process of its own, on a free port of loopback; yields (process, URL)."""

    @contextmanager
    def run(**environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
        log = tmp_path / f"gateway-{uuid.uuid4().hex[:8]}.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway"],
                cwd=ROOT,
                stderr=stderr,
                text=True,
                env={
                    **{key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")},
                    "PENSTOCK_HOME": str(settings.home),
                    "PENSTOCK_GATEWAY_PORT": "0",
                    "PENSTOCK_DATABASE_URL": database_url,
                    **environment,
                },
            )
        try:
            yield process, _address(process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(300)

    return run


def _address(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if '"listening"' in line:
                return str(json.loads(line)["address"])
        assert process.poll() is None, log.read_text()
        time.sleep(0.01)
    raise AssertionError(f"the gateway does not listen: {log.read_text()}")


@pytest.fixture
def serve(settings: Settings, database: Database, credentials: Credentials) -> Callable[..., Any]:
    """A context manager: a gateway behind a real socket, in a thread of this process; yields its URL."""

    @contextmanager
    def run(header_seconds: float = 10.0, **options: Any) -> Iterator[str]:
        changed = settings.model_copy(update=options.pop("settings", {}))
        server = Server(create_app(changed, database, credentials, **options), changed)
        server.config.http = type("Http", (DeadlineHttp,), {"header_seconds": header_seconds})
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
        assert not thread.is_alive()

    return run


@pytest.fixture
def other_team(database: Database) -> tuple[uuid.UUID, dict[str, str]]:
    """Another team, and the header of its API token."""
    team, token = uuid.uuid4(), f"pst_{uuid.uuid4().hex}"
    with database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (team,))
        connection.execute(
            "INSERT INTO api_tokens (team_id, token_sha256, name, role) VALUES (%s, %s, 'test', 'admin')",
            (team, hashlib.sha256(token.encode()).digest()),
        )
    return team, {"Authorization": f"Bearer {token}"}


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


@pytest.fixture
def forges(credentials: Credentials) -> Forges:
    return Forges(credentials)


@pytest.fixture
def link(database: Any, add_source: Callable[..., None]) -> Callable[..., None]:
    """A source that takes the tickets of a project."""

    def link(service: str, project: str, source: str = "shop") -> None:
        add_source(source, None)
        with database.team(DEFAULT_TEAM) as connection:
            connection.execute(
                "INSERT INTO ticket_projects (team_id, service, project, source) VALUES (%s, %s, %s, %s)",
                (DEFAULT_TEAM, service, project, source),
            )

    return link


@pytest.fixture
def token_for(database: Database) -> Callable[..., dict[str, str]]:
    """The header of a new API token with a role, of the default team or another."""

    def make(role: str, name: str | None = None, team: uuid.UUID = DEFAULT_TEAM, **wanted: Any) -> dict[str, str]:
        with database.team(team) as connection:
            _, secret = create_token(connection, team, name or f"a {role}", role=Role(role), **wanted)
        return {"Authorization": f"Bearer {secret}"}

    return make
