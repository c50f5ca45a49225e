"""Serves the proxy under uvicorn, with uvloop and httptools, until SIGTERM; open requests get time to end."""

import gc
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from core.http.header_deadline import HeaderDeadline
from core.models.app import App
from core.models.proxy import Proxy

KEEP_ALIVE = 60
MOST_CONNECTIONS = 4096
BACKLOG = 1024
SWITCH_SECONDS = 0.0005
"""How long a thread may keep requests waiting for the interpreter; Python's own 5 ms would be seen in their latency."""
_UNFINISHED = "ASGI callable returned without completing response."
_logger = structlog.get_logger("model-proxy")


class DeadlineProtocol(HeaderDeadline, HttpToolsProtocol):
    """HTTP/1.1 by httptools with a deadline for headers."""


class ProxyServer(uvicorn.Server):
    """Logs its address. `on_started` gets the address too."""

    def __init__(self, proxy: Proxy, host: str, port: int, on_started: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(
            uvicorn.Config(
                App(proxy),
                host=host,
                port=port,
                http=DeadlineProtocol,
                loop="uvloop",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=int(proxy.config.grace_seconds),
                backlog=BACKLOG,
            )
        )
        self._on_started = on_started
        logging.getLogger("uvicorn.error").addFilter(_finished)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for one in server.sockets:
                host, port = one.getsockname()[:2]
                address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
                _logger.info("listening", address=address, host=host, port=port)
                self._on_started(address)


def _finished(record: logging.LogRecord) -> bool:
    """Leaves out what uvicorn says of answers that are broken off on purpose; the proxy logs why itself."""
    return record.msg != _UNFINISHED


def serve(proxy: Proxy, host: str, port: int, **more: Any) -> bool:
    """Serves until SIGTERM or SIGINT. Returns whether it could listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError:
        return False
    server = ProxyServer(proxy, host, port, **more)
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # a collection that visits every imported module would hold up all requests
    server.run([listening])
    return server.started
