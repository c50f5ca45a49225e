"""One worker process per module and process of ours, started at the first request and ended with this process."""

import atexit
import os
import threading
from typing import Any

from core.worker import Worker, WorkerEnded

_ATTEMPTS = 2
"""Since the worker may have died for another reason than the request."""


class SharedWorker:
    """The worker of this process; a forked child starts its own. Threads take turns."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._owner = 0
        atexit.register(self.end)

    def ask(self, request: Any, seconds: float) -> Any:
        """The answer to a request, None for one that ended the worker each time. Raises
        `core.worker.WorkerUnavailable`."""
        with self._lock:
            for _ in range(_ATTEMPTS):
                if self._worker is None or self._owner != os.getpid():
                    self._worker, self._owner = Worker(self._module), os.getpid()
                try:
                    return self._worker.ask(request, seconds)
                except WorkerEnded:
                    self.end()
        return None

    def end(self) -> None:
        if self._worker is not None and self._owner == os.getpid():
            self._worker.end()
        self._worker = None
