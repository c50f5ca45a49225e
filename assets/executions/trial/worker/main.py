"""The worker's command loop: a process that imports only pytest, and forks for everything else.

`open` forks a process that collects the repository's tests and keeps running; forks of that process answer
`run` and `try`. A fork of the pristine process answers `fresh`, and imports the repository anew.
"""

import importlib
import marshal
import os
import sys
import traceback
from typing import Any

from _pytest.config import default_plugins

from .children import CRASH, HANG, supervise
from .clock import clock
from .fresh import fresh
from .instrument import Instrumentation
from .reporting import run_suite
from .services import start_services_anew
from .session import collected, enter, notice_end
from .trials import Trials
from .wire import Message, Wire

_IMPORTING = ("open", "fresh", "behaviour")
"""Operations that import the repository anew."""
_PRELOADED = [*(f"_pytest.{name}" for name in default_plugins), "difflib", "pprint"]


def main() -> None:
    wire = Wire.take_over()
    wire.send({"ready": True})
    _preload()
    collector: Collector | None = None
    while (command := wire.receive()) is not None:
        try:
            if command.get("services") and command["op"] in _IMPORTING:
                start_services_anew(command["services"])
            if command["op"] == "open":
                if collector is not None:
                    collector.end()
                collector = Collector(wire, command)
                while not collector.ready and notice_end():
                    collector.end()
                    collector = Collector(wire, command)
                if not collector.ready:
                    wire.send({"error": "the process ended while it collected the tests"})
            elif command["op"] in ("run", "try"):
                if collector is None or not collector.forward(command):
                    wire.send({"error": "the process that holds the collected tests has ended"})
            elif command["op"] == "fresh":
                wire.send(fresh(command))
            elif command["op"] == "behaviour":
                from .behaviour import behaviour  # only survivors are measured

                wire.send(behaviour(command))
            else:
                wire.send({"error": f"unknown command {command['op']!r}"})
        except Exception:
            wire.send({"error": traceback.format_exc(limit=-4)[-2000:]})
    if collector is not None:
        collector.end()


class Collector:
    """The forked process that holds the collected session. It answers on the wire itself, then notifies this process
    by one byte on a pipe."""

    def __init__(self, wire: Wire, command: Message) -> None:
        down_read, self._down = os.pipe()
        self._up, up_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._down)
            os.close(self._up)
            try:
                _collector(wire, command, down_read, up_write)
            finally:
                os._exit(0)
        os.close(down_read)
        os.close(up_write)
        self.ready = bool(os.read(self._up, 1))

    def forward(self, command: Message) -> bool:
        """Passes a command on; False when the process has ended without an answer."""
        data = marshal.dumps(command)
        data = len(data).to_bytes(4, "big") + data
        try:
            while data:
                data = data[os.write(self._down, data) :]
        except BrokenPipeError:
            return False
        return bool(os.read(self._up, 1))

    def end(self) -> None:
        os.close(self._down)
        os.close(self._up)
        try:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            return


def _collector(wire: Wire, command: Message, incoming: int, done: int) -> None:
    started = clock.now()
    enter(command)
    instrumentation = None
    if command["coverage"]:
        instrumentation = Instrumentation(command["root"], command["instrument_seconds"])
        instrumentation.install()
    suite = collected(command)
    imported = instrumentation.take() if instrumentation else []
    wire.send(
        {
            "tests": [item.nodeid for item in suite.items],
            "unittest": [item.nodeid for item in suite.items if type(item).__name__ == "TestCaseFunction"],
            "errors": suite.plugin.collect_errors,
            "broken": suite.broken,
            "native_async": suite.coroutines,
            "seconds": clock.now() - started,
        }
    )
    os.write(done, b".")
    trials: Trials | None = None
    while True:
        header = os.read(incoming, 4)
        if not header:
            return
        size = int.from_bytes(header, "big")
        data = bytearray()
        while len(data) < size:
            data += os.read(incoming, size - len(data))
        request: Message = marshal.loads(bytes(data))  # noqa: S302 - from our own parent
        try:
            if request["op"] == "run":
                wire.send(run_suite(suite, request, instrumentation, imported))
            else:
                trials = trials or Trials(suite)
                wire.send(_try(trials, request))
        except Exception:
            wire.send({"error": traceback.format_exc(limit=-4)[-2000:]})
        os.write(done, b".")


def _try(trials: Trials, command: Message) -> Message:
    """Answers {"trials": [...] in the order of the candidates (None: not reached), "leaky": bool, "took": processor
    seconds of the slowest target without a patch, None if it is not known}."""
    count = len(command["candidates"])
    results: list[Any] = [None] * count
    until = clock.now() + command["seconds"]
    leaky, took = False, None
    each = command["cpu"] * 4 * max(1, len(command["targets"])) + 2

    def run(batch: list[int]) -> None:
        nonlocal leaky, took
        for kind, index, payload in supervise(lambda b, s: trials.work(command, b, s), batch, lambda _: each, until):
            if kind == "broken":
                raise RuntimeError(f"trying candidates failed: {payload}")
            if kind in (HANG, CRASH):
                results[index] = {"s": "hang" if kind == HANG else "crash"}
            elif kind == "end" and index < 0:
                leaky, took = leaky or not payload["canary"], payload["took"]
            elif kind == "end":
                results[index] = payload

    if command.get("alone"):
        for index in range(count):
            run([index])
    else:
        run(list(range(count)))
        if leaky:
            # Some candidate left traces, which may be why others failed after it.
            for index in range(count):
                if results[index] is None or results[index]["s"] in ("fail", "hang", "regress"):
                    run([index])
    return {"trials": results, "leaky": leaky, "took": took}


def _preload() -> None:
    """Imports pytest's modules before any fork, so that no fork has to."""
    for name in _PRELOADED:
        try:
            importlib.import_module(name)
        except BaseException as error:
            sys.stderr.write(f"{name}: {error}\n")
