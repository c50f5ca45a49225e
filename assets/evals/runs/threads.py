"""Threads that each run one case at a time; a thread whose case exceeds the time limit is abandoned."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from assets.evals.sets.eval_set import Case

from .result_rows import lost_row
from .results import ResultRow
from .subject import Attempt, CaseOutcome


class Threads:
    """At most `count` threads; `patience` is the timeout of a case in seconds. `lost` counts abandoned threads."""

    def __init__(self, attempt: Callable[[Case, int], ResultRow], count: int, patience: float) -> None:
        self._attempt = attempt
        self._count = count
        self._patience = patience
        self._todo: queue.SimpleQueue[tuple[int, Case, int] | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[int, ResultRow]] = queue.SimpleQueue()
        self._waiting: dict[int, tuple[Case, int, float]] = {}
        self._next = 0
        self._running = 0
        self.lost = 0

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    @property
    def free(self) -> bool:
        return len(self._waiting) < self._count

    def give(self, case: Case, repeat: int) -> None:
        if self._running < min(self._count, len(self._waiting) + 1):
            # A daemon thread, since a subject that hangs must not keep the program from ending.
            threading.Thread(target=self._work, name=f"eval-{self._next}", daemon=True).start()
            self._running += 1
        self._waiting[self._next] = (case, repeat, time.monotonic())
        self._todo.put((self._next, case, repeat))
        self._next += 1

    def _work(self) -> None:
        while (given := self._todo.get()) is not None:
            number, case, repeat = given
            self._ended.put((number, self._attempt(case, repeat)))

    def ended(self) -> list[ResultRow]:
        """The rows that are ready, after waiting up to 0.2 s for the first. Includes a timeout row for each case that
        exceeded its limit; the case's thread is abandoned."""
        rows: list[ResultRow] = []
        wait = 0.2 if self._waiting else 0.0
        while True:
            try:
                number, row = self._ended.get(timeout=wait) if wait else self._ended.get_nowait()
            except queue.Empty:
                break
            wait = 0.0
            if self._waiting.pop(number, None) is not None:
                rows.append(row)
        now = time.monotonic()
        for number, (case, repeat, since) in list(self._waiting.items()):
            if now - since > self._patience:
                del self._waiting[number]
                self.lost += 1
                self._running -= 1
                attempt = Attempt(case, repeat, 0, self._patience, Path())
                said = f"did not return within {self._patience:.0f} s"
                rows.append(replace(lost_row(attempt, CaseOutcome.TIMEOUT, said, 1), success=False))
        return rows

    def close(self) -> None:
        for _ in range(self._running + self.lost):
            self._todo.put(None)
