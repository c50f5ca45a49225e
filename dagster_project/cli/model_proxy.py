"""`penstock model-proxy`: serves models from many servers under one address."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.output import CommandFailed, line, note, table

if TYPE_CHECKING:
    from core.database import Database
    from core.models.config import ProxyConfig
    from core.settings import Settings

DATABASE_SECONDS = 2.0
_CONNECTIONS = 4


def model_proxy(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; by default the setting model_proxy_host: loopback.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; by default model_proxy_port.")] = None,
    config: Annotated[Path | None, typer.Option(help="The file that lists the model servers.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only read the file, and show what it says.")] = False,
) -> None:
    """Serve the models of many servers under one address, until it is ended."""
    from core.access.grants import is_loopback
    from core.models.config import read_config
    from core.settings import load_settings

    settings = load_settings()
    file = (config or settings.model_proxy_file).expanduser().absolute()
    found = read_config(file)
    if check:
        _show(found)
        return
    host = host or settings.model_proxy_host
    if found.access.mode == "open" and not is_loopback(host):
        raise CommandFailed(
            f"{file}: access.mode is open, and {host} can be reached by others: listen on loopback, or set it to token"
        )
    with _database(settings, needed=found.access.mode == "token") as database:
        _serve(found, file, database, host, settings.model_proxy_port if port is None else port, settings.log_level)


def _serve(
    config: "ProxyConfig", file: Path, database: "Database | None", host: str, port: int, log_level: str
) -> None:
    from core.logs import configure
    from core.models.proxy import Proxy
    from core.models.server import serve

    configure(log_level, "penstock-model-proxy")
    if not serve(Proxy(config, database, file), host, port):
        raise CommandFailed(f"the proxy cannot listen on {host}:{port}: is the port in use? Give another to --port")


@contextmanager
def _database(settings: "Settings", *, needed: bool) -> Iterator["Database | None"]:
    """The database of tokens and accounts: the one that the settings name, which may be away now, or the embedded
    one; none if none is needed and none is set."""
    from core.database import Database
    from dagster_project.runtime import open_runtime

    if settings.database_url is not None:
        database = Database(settings.database_url.get_secret_value(), max_size=_CONNECTIONS, timeout=DATABASE_SECONDS)
    elif not needed:
        note("access is open and no database is set: requests are not accounted")
        yield None
        return
    else:
        with open_runtime(settings) as runtime:
            database = Database(runtime.database_url, max_size=_CONNECTIONS, timeout=DATABASE_SECONDS)
            try:
                yield database
            finally:
                database.close()
        return
    try:
        yield database
    finally:
        database.close()


def _show(config: "ProxyConfig") -> None:
    rows = []
    for one in config.backends:
        model = config.model(one.model)
        share = model.versions.get(one.version, 0.0 if model.versions else 1.0)
        state = "draining" if one.version in model.draining else f"share {share:g}"
        rows.append([one.name, one.kind, one.model, one.version, state, one.concurrency, one.base])
    table(["name", "kind", "model", "version", "traffic", "at once", "address"], rows, empty="no model servers")
    line(f"{len(config.backends)} model servers, access: {config.access.mode}")
