"""A bounded pool of workers in one process, which any number of processes and machines can run beside each other.

Threads take steps as long as some wait, and then sleep until the log tells of a new one. Not for one question only: a
run does the steps of its own question itself.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import psycopg_pool

from assets.research.flow.work import Workshop, work
from core.embedding import EmbedderUnavailable
from core.eventlog.protocol import EventLog, EventLogUnavailable
from core.events import RESEARCH

GROUP = "penstock-research"
WAIT_SECONDS = 5.0
PAUSE_SECONDS = 1.0
_PASSING = (psycopg.OperationalError, psycopg_pool.PoolTimeout, EventLogUnavailable, EmbedderUnavailable)
_log = logging.getLogger(__name__)


@dataclass
class Done:
    """What a pool has done so far."""

    steps: int = 0
    failures: int = 0


def run_pool(
    shop: Workshop,
    log: EventLog,
    threads: int,
    *,
    stop: threading.Event,
    idle_seconds: float | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Done:
    """Works until `stop` is set or, with `idle_seconds`, until nothing has waited for so long. A failure makes
    a thread pause and go on; the step is taken again when its lease ends, and given up after some tries."""
    done, lock, name = Done(), threading.Lock(), uuid.uuid4().hex[:8]
    last = [time.monotonic()]
    new, idle = threading.Event(), threading.Event()

    def failed(error: Exception) -> None:
        with lock:
            done.failures += 1
        tell(f"waits: {error}")
        stop.wait(PAUSE_SECONDS)

    def loop(number: int) -> None:
        while not stop.is_set():
            try:
                step = work(shop, f"worker {name}.{number}")
            except _PASSING as error:
                failed(error)
                continue
            except Exception as error:  # whatever one step meets, the steps of other questions go on
                _log.exception("a step failed; it is taken again when its lease ends")
                failed(error)
                continue
            if step is None:
                idle.set()
                if idle_seconds is not None and time.monotonic() - last[0] > idle_seconds:
                    return
                new.wait(min(PAUSE_SECONDS, idle_seconds or PAUSE_SECONDS))
                continue
            last[0] = time.monotonic()
            with lock:
                done.steps += 1
            tell(f"{step.kind} {step.number} of question {step.question_id}")

    pool = [threading.Thread(target=loop, args=(n,), name=f"research-{n}", daemon=True) for n in range(threads)]
    for thread in pool:
        thread.start()
    seconds = min(WAIT_SECONDS, idle_seconds or WAIT_SECONDS)
    _follow(log, seconds, new, idle, lambda: not stop.is_set() and any(thread.is_alive() for thread in pool))
    for thread in pool:
        thread.join(timeout=10)
    return done


def _follow(
    log: EventLog, seconds: float, new: threading.Event, idle: threading.Event, goes_on: Callable[[], bool]
) -> None:
    """Wakes the threads when the log tells of steps. What it has told is committed once nothing waits any more, so that
    the lag of the group says whether workers are needed."""
    offsets: dict[int, int] | None = None
    told: dict[int, int] | None = None
    while goes_on():
        try:
            if offsets is None:
                offsets = told = dict(log.end_offsets(RESEARCH))
                idle.clear()
            batch = log.read(RESEARCH, offsets, limit=500, wait=seconds)
            if batch.records:
                offsets = told = dict(batch.next_offsets)
                idle.clear()
                new.set()
                new.clear()
            elif told is not None and idle.is_set():
                log.commit_group(GROUP, RESEARCH, told)
                told = None
        except _PASSING:
            time.sleep(PAUSE_SECONDS)
