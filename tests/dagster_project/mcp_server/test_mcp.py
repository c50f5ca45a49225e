"""`penstock mcp` with the protocol's own client: in this process, over streamable HTTP and over stdio, before a real
gateway and a real index."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner

from core import tasks
from core.access.roles import Role
from core.access.tokens import create_token
from core.credentials import Credentials, ensure_secrets
from core.database import Database
from core.events import DEFAULT_TEAM
from core.settings import Settings
from dagster_project.cli.app import app as commands
from dagster_project.mcp_server.gateway_api import ApiError, GatewayApi
from dagster_project.mcp_server.knowledge import Knowledge
from dagster_project.mcp_server.server import http_app, make_server
from gateway.app import create_app
from gateway.server import Server

ROOT = Path(__file__).parents[3]
CODE = """\
def total(prices):
    \"\"\"The sum of all prices.\"\"\"
    return sum(prices[1:])
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", gateway_port=0, metrics_seconds=0)


@pytest.fixture
def credentials(settings: Settings, database: Database) -> Credentials:
    return ensure_secrets(settings, database)


@contextlib.contextmanager
def running(server: uvicorn.Server) -> Iterator[str]:
    """A server behind a real socket, in a thread of this process; yields its URL."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 120
        while not server.started:
            assert thread.is_alive() and time.monotonic() < deadline
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.handle_exit(signal.SIGTERM, None)  # ends the gateway's event streams
        thread.join(60)


@pytest.fixture
def gateway(settings: Settings, database: Database, credentials: Credentials) -> Iterator[str]:
    with running(Server(create_app(settings, database, credentials), settings)) as address:
        yield address


@pytest.fixture
def source(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An indexed repository."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "cart.py").write_text(CODE)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-q", "-m", "A start"]):
        subprocess.run(["git", "-C", str(folder), *arguments], env=environment, check=True, timeout=600)
    monkeypatch.setattr("dagster_project.cli.index.opened", lambda: contextlib.nullcontext(database))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PENSTOCK_ALLOWED_ROOTS", str(tmp_path))
    done = CliRunner().invoke(commands, ["index", "add", "shop", str(folder)])
    assert done.exit_code == 0, done.output
    return "shop"


@pytest.fixture
def token(database: Database) -> Callable[..., str]:
    def make(role: str = "operator", team: uuid.UUID = DEFAULT_TEAM, name: str | None = None) -> str:
        with database.team(team) as connection:
            return create_token(connection, team, name or f"an {role}", role=Role(role))[1]

    return make


Use = Callable[[Client], Awaitable[Any]]


@pytest.fixture
def with_client(gateway: str, settings: Settings, database: Database) -> Callable[[str, Use], Any]:
    """Uses a client in this process, on behalf of a token."""

    def run(own: str, use: Use) -> Any:
        async def work() -> Any:
            api = GatewayApi(gateway)
            try:
                async with Client(make_server(api, Knowledge(settings, database), own)) as client:
                    return await use(client)
            finally:
                await api.close()

        return asyncio.run(asyncio.wait_for(work(), 120))

    return run


def said(result: Any) -> Any:
    """What a tool answered; its error as text."""
    text = "".join(block.text for block in result.content if block.type == "text")
    if result.is_error:
        return text
    found = result.structured_content
    return text if found is None else found.get("result", found) if set(found) == {"result"} else found


def test_its_tools_search_start_follow_and_talk(
    with_client: Callable[[str, Use], Any], source: str, token: Callable[..., str], database: Database
) -> None:
    async def use(client: Client) -> None:
        names = {one.name for one in (await client.list_tools()).tools}
        assert names == {
            "list_sources", "search", "context_pack", "list_tasks", "create_task", "research", "show_task",
            "watch_task", "read_thread", "write_message", "list_models", "evals_report",
        }  # fmt: skip
        call = client.call_tool
        assert said(await call("list_sources", {}))[0]["name"] == "shop"
        places = said(await call("search", {"source": "shop", "query": "the total of prices is wrong"}))
        assert (places[0]["path"], places[0]["symbol"]) == ("cart.py", "total") and places[0]["why"]
        pack = said(await call("context_pack", {"source": "shop", "query": "total", "tokens": 500}))
        assert pack.startswith("# Context from shop") and "return sum(prices[1:])" in pack

        wanted = {"source": "shop", "title": "Total is wrong", "body": "It should be 3.", "key": "once"}
        made = said(await call("create_task", wanted))
        assert made["new"] is True
        assert said(await call("create_task", wanted)) == {**made, "new": False}
        task = made["task"]
        assert [one["id"] for one in said(await call("list_tasks", {"state": "queued"}))] == [task]
        assert said(await call("show_task", {"task": task}))["body"] == "It should be 3."

        first = said(await call("watch_task", {"task": task, "seconds": 1}))
        assert [one["state"] for one in first["events"]] == ["queued"] and not first["ended"]
        with database.team(DEFAULT_TEAM) as connection:
            own = (DEFAULT_TEAM, task)
            connection.execute("INSERT INTO attempts (team_id, task_id, attempt) VALUES (%s, %s, 1)", own)
            connection.execute(
                "INSERT INTO trajectory (team_id, task_id, attempt, seq, epoch, kind, body) "
                "VALUES (%s, %s, 1, 1, 1, 'retrieve', '{\"source\": \"shop\"}')",
                own,
            )
            connection.execute("UPDATE tasks SET state = 'cancelled' WHERE id = %s", (task,))
        rest = said(await call("watch_task", {"task": task, "after": first["position"], "seconds": 20}))
        assert [one.get("text", one.get("state")) for one in rest["events"]] == [
            "looks for places in shop", "cancelled", "cancelled",
        ]  # fmt: skip
        assert rest["ended"]
        again = said(await call("watch_task", {"task": task, "after": rest["position"], "seconds": 20}))
        assert (again["events"], again["ended"]) == ([], True)

        message = str(uuid.uuid4())
        for _ in range(2):
            written = said(await call("write_message", {"task": task, "text": "Look at line 3.", "message": message}))
            assert written["message"] == message
        thread = said(await call("read_thread", {"thread": written["thread"]}))
        assert [one["text"] for one in thread["messages"]].count("Look at line 3.") == 1
        assert said(await call("read_thread", {"task": task, "limit": 1}))["messages"][0]["seq"] >= 1
        assert isinstance(said(await call("list_models", {})), list)
        assert said(await call("evals_report", {})) == []

    with_client(token(), use)


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("search", {"source": "shop", "query": ""}, "query"),
    ("search", {"source": "shop", "query": "x" * 20_001}, "query"),
    ("search", {"source": "shop", "query": "x", "limit": 51}, "limit"),
    ("search", {"source": "nowhere", "query": "x"}, "nowhere"),
    ("context_pack", {"source": "shop", "query": "x", "tokens": 10**9}, "tokens"),
    ("create_task", {"source": "nowhere", "title": "x"}, "penstock index add"),
    ("create_task", {"source": "shop", "title": ""}, "title"),
    ("create_task", {"source": "shop", "title": "x", "key": "a b"}, "key"),
    ("research", {"source": "nowhere", "question": "How?"}, "penstock index add"),
    ("research", {"source": "shop", "question": ""}, "question"),
    ("show_task", {"task": "x"}, "task"),
    ("show_task", {"task": str(uuid.UUID(int=1))}, "no task"),
    ("watch_task", {"task": str(uuid.UUID(int=1))}, "no task"),
    ("watch_task", {"task": str(uuid.UUID(int=1)), "seconds": 10**6}, "seconds"),
    ("read_thread", {}, "either `task` or `thread`"),
    ("read_thread", {"thread": str(uuid.UUID(int=1))}, "no such thread"),
    ("write_message", {"task": str(uuid.UUID(int=1)), "text": "x"}, "no task"),
    ("write_message", {"thread": str(uuid.UUID(int=1)), "text": "x" * 60_001}, "text"),
]


def test_what_is_wrong_is_said_and_changes_nothing(
    with_client: Callable[[str, Use], Any], token: Callable[..., str], database: Database
) -> None:
    async def use(client: Client) -> None:
        for tool, arguments, complaint in WRONG:
            result = await client.call_tool(tool, arguments)
            assert result.is_error, (tool, arguments)
            assert complaint in said(result) and len(said(result)) < 2000, said(result)

    with_client(token(), use)
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


def test_roles_and_teams_count_as_everywhere(
    with_client: Callable[[str, Use], Any], source: str, token: Callable[..., str], database: Database
) -> None:
    other = uuid.uuid4()
    with database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (other,))

    def call(own: str, tool: str, **arguments: Any) -> Any:
        async def use(client: Client) -> Any:
            return said(await client.call_tool(tool, arguments))

        return with_client(own, use)

    assert "needs the role operator" in call(token("viewer"), "create_task", source="shop", title="x")
    theirs = token("admin", other)
    assert call(theirs, "list_sources") == []
    assert "shop" in call(theirs, "search", source="shop", query="total")
    assert "only tokens of the default team" in call(theirs, "list_models")
    own = token()
    made = call(own, "create_task", source="shop", title="x")["task"]
    asked = call(own, "research", source="shop", question="How is it done?", corpora=["docs"])["task"]
    with database.team(DEFAULT_TEAM) as connection:
        options = tasks.get_task(connection, uuid.UUID(asked)).options
    assert (options["kind"], options["corpora"]) == ("research", ["docs"])
    assert "no task" in call(theirs, "show_task", task=made)
    assert "no task" in call(theirs, "read_thread", task=made)
    assert "unknown, expired or revoked" in call("pst_wrong", "search", source="shop", query="total")


def test_without_a_gateway_it_says_so(settings: Settings, database: Database) -> None:
    async def work() -> Any:
        api = GatewayApi("http://127.0.0.1:1")
        async with Client(make_server(api, Knowledge(settings, database), "pst_x")) as client:
            return said(await client.call_tool("list_tasks", {}))

    assert "does not answer" in asyncio.run(work())


def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while given < 1 << 30:
            given += 1 << 20
            yield b"x" * (1 << 20)

    async def work() -> None:
        api = GatewayApi("http://gateway", httpx.MockTransport(lambda _: httpx.Response(200, content=endless())))
        with pytest.raises(ApiError, match="too large: ask for less"):
            await api.ask("pst_x", "GET", "/tasks")
        await api.close()

    asyncio.run(work())
    assert given < 32 << 20


def test_over_http_every_request_needs_its_own_token(
    gateway: str, settings: Settings, database: Database, source: str, token: Callable[..., str]
) -> None:
    async def use(address: str, own: str) -> Any:
        async with (
            httpx_client(own) as http,
            Client(streamable_http_client(f"{address}/mcp", http_client=http)) as client,
        ):
            return [
                said(await client.call_tool("search", {"source": "shop", "query": "total"})),
                said(await client.call_tool("create_task", {"source": "shop", "title": "x"})),
            ]

    api = GatewayApi(gateway)
    app = http_app(make_server(api, Knowledge(settings, database), None), api, "127.0.0.1")
    with running(uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))) as address:
        places, made = asyncio.run(use(address, token()))
        assert places[0]["path"] == "cart.py" and made["new"]
        assert "role operator" in asyncio.run(use(address, token("viewer")))[1]
        ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        accept = {"Accept": "application/json, text/event-stream"}
        for headers in ({}, {"Authorization": "Bearer pst_wrong"}, {"Authorization": "Basic eDp5"}):
            answer = httpx.post(f"{address}/mcp", json=ask, headers={**accept, **headers})
            assert (answer.status_code, "www-authenticate" in answer.headers) == (401, True)
        good = {"Authorization": f"Bearer {token(name='third')}"}
        rebound = httpx.post(f"{address}/mcp", json=ask, headers={**accept, **good, "Host": "evil.example"})
        assert rebound.status_code == 421
        crossed = httpx.post(f"{address}/mcp", json=ask, headers={**accept, **good, "Origin": "https://evil.example"})
        assert crossed.status_code == 403
        huge = httpx.post(f"{address}/mcp", content=b"x" * (1 << 20), headers={**accept, **good})
        assert huge.status_code in (400, 413)
        with pytest.raises((MCPError, ExceptionGroup)):
            asyncio.run(use(address, "pst_wrong"))


def httpx_client(own: str) -> Any:
    import httpx2

    return httpx2.AsyncClient(headers={"Authorization": f"Bearer {own}"}, timeout=60)


def test_over_stdio_it_acts_with_the_token_of_its_environment(
    gateway: str, database_url: str, source: str, token: Callable[..., str], tmp_path: Path
) -> None:
    own = token()
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "penstock", "mcp", "--url", gateway],
        cwd=str(ROOT),
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")},
            "PENSTOCK_HOME": str(tmp_path / "home"),
            "PENSTOCK_DATABASE_URL": database_url,
            "PENSTOCK_TOKEN": own,
        },
    )

    async def work() -> Any:
        async with Client(server) as client:
            return [
                said(await client.call_tool("search", {"source": "shop", "query": "total"})),
                said(await client.call_tool("create_task", {"source": "shop", "title": "x"})),
            ]

    places, made = asyncio.run(asyncio.wait_for(work(), 120))
    assert places[0]["path"] == "cart.py" and made["new"]
    assert own not in json.dumps([places, made])
