"""A bounded pool of workers in one process, which any number of processes and machines can run beside each other.

Threads take steps as long as some wait, and then sleep until the log tells of a new one. Not for one question only: a
run does the steps of its own question itself.
"""

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
    """Works until `stop` is set or, with `idle_seconds`, until nothing has waited for so long. A failure of the
    database, the log or the model makes a thread pause and go on."""
    done, lock, name = Done(), threading.Lock(), uuid.uuid4().hex[:8]
    last = [time.monotonic()]
    new = threading.Event()

    def loop(number: int) -> None:
        while not stop.is_set():
            try:
                step = work(shop, f"worker {name}.{number}")
            except (
                psycopg.OperationalError,
                psycopg_pool.PoolTimeout,
                EventLogUnavailable,
                EmbedderUnavailable,
            ) as error:
                with lock:
                    done.failures += 1
                tell(f"waits: {error}")
                stop.wait(PAUSE_SECONDS)
                continue
            if step is None:
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
    offsets = dict(log.end_offsets(RESEARCH))
    while any(thread.is_alive() for thread in pool):
        try:
            batch = log.read(RESEARCH, offsets, limit=500, wait=min(WAIT_SECONDS, idle_seconds or WAIT_SECONDS))
        except (psycopg.OperationalError, psycopg_pool.PoolTimeout, EventLogUnavailable):
            stop.wait(PAUSE_SECONDS)
            continue
        if batch.records:
            offsets = dict(batch.next_offsets)
            log.commit_group(GROUP, RESEARCH, offsets)
            new.set()
            new.clear()
        if stop.is_set():
            break
    for thread in pool:
        thread.join(timeout=10)
    return done
