"""When Dagster's loop for sensors takes its next turn."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from dagster_project.warm.turns import paced

FOREVER = 900.0


class Daemon:
    """A loop that starts one tick in each turn, and waits as long as it may."""

    def __init__(self, executor: ThreadPoolExecutor | None, tick: threading.Event, interval: float = 1) -> None:
        self._threadpool_executor, self._tick = executor, tick
        self._sensor = SimpleNamespace(min_interval_seconds=interval)

    def daemon_type(self) -> str:
        return "SENSOR"

    def core_loop(self, _context: object, shutdown: threading.Event) -> Iterator[None]:
        while not shutdown.is_set():
            assert self._threadpool_executor is not None
            self._threadpool_executor.submit(lambda _sensor: self._tick.wait(FOREVER), self._sensor)
            yield None
            shutdown.wait(FOREVER)
            yield None


def turn(loop: Iterator[None], turned: threading.Event) -> None:
    next(loop)
    turned.set()


def test_a_turn_comes_when_a_tick_ends_and_not_before() -> None:
    tick, shutdown = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as executor:
        [daemon] = paced([Daemon(executor, tick)], lambda: None, 0.05)
        loop = daemon.core_loop(None, shutdown)
        next(loop)
        turned = threading.Event()
        waiting = threading.Thread(target=turn, args=(loop, turned))
        waiting.start()
        assert not turned.wait(0.5), "the tick goes on"
        tick.set()
        assert turned.wait(60)
        waiting.join()
        next(loop)
        began = time.monotonic()
        next(loop)
        assert time.monotonic() - began < 60, "turns come often for a while after an end"
        shutdown.set()
        with pytest.raises(StopIteration):
            next(loop)


def test_ticks_of_sensors_that_do_not_long_poll_end_no_wait() -> None:
    tick, shutdown = threading.Event(), threading.Event()
    tick.set()
    with ThreadPoolExecutor(1) as executor:
        [daemon] = paced([Daemon(executor, tick, interval=5)], lambda: None, 0.05)
        loop = daemon.core_loop(None, shutdown)
        next(loop)
        turned = threading.Event()
        waiting = threading.Thread(target=turn, args=(loop, turned))
        waiting.start()
        assert not turned.wait(0.5)
        shutdown.set()
        waiting.join(60)


def test_shutting_down_ends_the_wait_for_a_tick() -> None:
    tick, shutdown = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as executor:
        [daemon] = paced([Daemon(executor, tick)], lambda: None, 0.05)
        loop = daemon.core_loop(None, shutdown)
        next(loop)
        threading.Timer(0.2, shutdown.set).start()
        next(loop)
        assert not tick.is_set()
        tick.set()


def test_a_sensor_daemon_without_a_pool_of_threads_is_refused() -> None:
    with pytest.raises(LookupError, match="_threadpool_executor"):
        paced([Daemon(None, threading.Event())], lambda: None, 0.5)
