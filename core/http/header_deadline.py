"""A deadline for the headers of a request, which uvicorn awaits without end: slow clients cannot occupy connections."""

import asyncio
from typing import Any

HEADER_SECONDS = 10.0


class HeaderDeadline:
    """Mixed in before one of uvicorn's HTTP protocols: closes a connection that has no request in progress and does not
    send complete headers in time. Between two requests uvicorn's own limit of idle connections holds."""

    header_seconds = HEADER_SECONDS
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)  # type: ignore[misc]

    @property
    def _serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        if self._serving:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.header_seconds, self._cut)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut(self) -> None:
        self._timer = None
        if not self._serving and not self.transport.is_closing():
            self.transport.close()
