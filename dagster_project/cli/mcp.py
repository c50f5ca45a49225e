"""`penstock mcp`: Penstock for agents and editors, over the Model Context Protocol."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.output import CommandFailed, note
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.database import Database
    from core.settings import Settings


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP; by default stdio.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on, with --http.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on, with --http.")] = 8430,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further name by which clients reach it, such as that of a proxy."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The gateway's address; by default that of this machine's platform.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="File with the API token to act with over stdio; by default the variable "
            "PENSTOCK_TOKEN, else this platform's own token."
        ),
    ] = None,
) -> None:  # fmt: skip
    """Let agents and editors search, start and follow tasks, and read and write threads."""
    import os
    import sys

    from core.logs import configure
    from core.settings import load_settings

    settings = load_settings()
    configure("warning", "penstock-mcp")
    address = url or _gateway(settings)
    if http:
        with _database(settings) as database:
            _serve_http(settings, database, address, host, port, tuple(allow_host or ()))
        return
    token = _token(settings, token_file, os.environ.get("PENSTOCK_TOKEN"))
    if sys.stdin.isatty():
        note("this speaks MCP over standard input and output: an editor starts it (docs/mcp.md)")
    with _database(settings) as database:
        _serve_stdio(settings, database, address, token)


@contextmanager
def _database(settings: "Settings") -> "Iterator[Database]":
    """The platform's database. A given one is neither started nor upgraded: this is no part of the platform."""
    if settings.database_url is None:
        with opened() as database:
            yield database
        return
    from core.database import Database

    database = Database(settings.database_url.get_secret_value(), max_size=4)
    try:
        yield database
    finally:
        database.close()


def _serve_stdio(settings: "Settings", database: "Database", address: str, token: str) -> None:
    import anyio

    from dagster_project.mcp_server.gateway_api import GatewayApi
    from dagster_project.mcp_server.knowledge import Knowledge
    from dagster_project.mcp_server.server import make_server

    async def serve() -> None:
        api = GatewayApi(address)
        try:
            await make_server(api, Knowledge(settings, database), token).run_stdio_async()
        finally:
            await api.close()

    anyio.run(serve)


def _serve_http(
    settings: "Settings", database: "Database", address: str, host: str, port: int, allowed: tuple[str, ...]
) -> None:
    import anyio
    import uvicorn

    from dagster_project.mcp_server.gateway_api import GatewayApi
    from dagster_project.mcp_server.knowledge import Knowledge
    from dagster_project.mcp_server.server import PATH, http_app, make_server

    async def serve() -> None:
        api = GatewayApi(address)
        app = http_app(make_server(api, Knowledge(settings, database)), api, host, allowed)
        config = uvicorn.Config(
            app, host=host, port=port, log_config=None, access_log=False, server_header=False, limit_concurrency=128,
            timeout_keep_alive=5, timeout_graceful_shutdown=5,
        )  # fmt: skip
        server = uvicorn.Server(config)
        listening = config.bind_socket()
        shown = listening.getsockname()
        note(f"MCP at http://{shown[0]}:{shown[1]}{PATH}; each request needs a token")
        try:
            await server.serve(sockets=[listening])
        finally:
            await api.close()

    anyio.run(serve)


def _gateway(settings: "Settings") -> str:
    from dagster_project.records import running_platform

    running = running_platform(settings)
    return str(running["gateway"]) if running else f"http://{settings.gateway_host}:{settings.gateway_port}"


def _token(settings: "Settings", file: Path | None, given: str | None) -> str:
    from core.credentials import load_or_make

    token = (
        file.read_text(encoding="utf-8") if file else given if given is not None else load_or_make(settings).api_token
    )
    if not token.strip() or len(token) > 20_000:
        raise CommandFailed("there is no token in --token-file or PENSTOCK_TOKEN: `penstock token create` makes one")
    return token.strip()
