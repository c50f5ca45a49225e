"""Runs the gateway under uvicorn, with limits on headers and idle connections and a graceful shutdown."""

import signal
import threading
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from core.http.header_deadline import HeaderDeadline
from core.settings import Settings

HEADER_BYTES = 32 << 10
MAX_CONNECTIONS = 512
GRACE_SECONDS = 10

_logger = structlog.get_logger("gateway")


class DeadlineHttp(HeaderDeadline, H11Protocol):
    """HTTP/1.1 with a deadline for headers."""


class Server(uvicorn.Server):
    """Logs its address, and ends event streams at shutdown."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.gateway_host,
                port=settings.gateway_port,
                http=DeadlineHttp,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                h11_max_incomplete_event_size=HEADER_BYTES,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._stopping = app.state.gateway.stopping

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        for server in self.servers:
            for socket in server.sockets:
                host, port = socket.getsockname()[:2]
                _logger.info("listening", address=f"http://{host}:{port}", host=host, port=port)

    def run(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        # At exit uvicorn raises the received signal again; these handlers keep it from killing the process.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self.handle_exit)
        super().run(sockets)  # type: ignore[arg-type]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self._stopping.is_set():
            _logger.info("stopping", signal=signal.Signals(sig).name)
        self._stopping.set()
        super().handle_exit(sig, frame)
