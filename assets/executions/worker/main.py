"""The worker's command loop: one process that has imported pytest alone, and forks everything else.

`open` forks a process that collects the repository's tests and stays; `run` and `try` are answered by
forks of that one; `fresh` by a fork of the pristine process, which imports the repository anew.
"""

import contextlib
import importlib
import marshal
import os
import random
import select
import sys
import tempfile
import time
import traceback
from itertools import count, pairwise
from typing import Any

from _pytest.config import default_plugins

from .children import CRASH, HANG, Send, supervise
from .instrument import Instrumentation
from .suite import Suite
from .trials import Trials, limit_memory, run_targets
from .wire import Message, Wire

_MOST_HITS = 3_000_000
"""Beyond that many, only failing tests' coverage is kept."""
_SPAWNS = ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.spawn")


_WANTED = [*(f"_pytest.{name}" for name in default_plugins), "difflib", "pprint"]


def main() -> None:
    wire = Wire.take_over()
    wire.send({"ready": True, "python": sys.version.split()[0]})
    _preload(_WANTED)
    collector: Collector | None = None
    while (command := wire.receive()) is not None:
        try:
            if command["op"] == "open":
                if collector is not None:
                    collector.end()
                collector = Collector(wire, command)
            elif command["op"] in ("run", "try"):
                if collector is None or not collector.forward(command):
                    wire.send({"error": "the process that holds the collected tests has ended"})
            elif command["op"] == "fresh":
                wire.send(_fresh(command))
            elif command["op"] == "import":
                _preload(command["modules"])
                wire.send({"ok": True})
            else:
                wire.send({"error": f"unknown command {command['op']!r}"})
        except Exception:
            wire.send({"error": traceback.format_exc(limit=-4)[-2000:]})
    if collector is not None:
        collector.end()


def _enter(command: Message) -> None:
    """Makes this process look like `python -m pytest` started in the workspace."""
    os.chdir(command["root"])
    for path in reversed(command["sys_path"]):
        if path not in sys.path:
            sys.path.insert(0, path)
    os.environ.update(command.get("variables", {}))
    sys.argv = ["pytest", *command["arguments"]]
    random.seed(0)


def _collected(command: Message, select: list[str] | None = None) -> Suite:
    suite = Suite(command["root"], command["arguments"])
    suite.collect(select or ())
    return suite


class Collector:
    """The forked process that keeps the collected session. It answers on the wire itself; one byte on a pipe
    tells this process that it has."""

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
        if not os.read(self._up, 1):
            wire.send({"error": "collecting the tests ended the process"})

    def forward(self, command: Message) -> bool:
        """Hands a command down; False when the process has ended without an answer."""
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
    started = time.monotonic()
    _enter(command)
    instrumentation = None
    if command["coverage"]:
        instrumentation = Instrumentation(command["root"], command["instrument_seconds"])
        instrumentation.install()
    modules = set(sys.modules)
    suite = _collected(command)
    imported = instrumentation.take() if instrumentation else []
    prefix = command["root"].rstrip("/") + "/"
    outside = []
    for name in list(sys.modules):
        origin = getattr(sys.modules[name], "__file__", None)
        if name not in modules and isinstance(origin, str) and not origin.startswith(prefix):
            outside.append(name)
    wire.send(
        {
            "tests": [item.nodeid for item in suite.items],
            "unittest": [item.nodeid for item in suite.items if type(item).__name__ == "TestCaseFunction"],
            "errors": suite.plugin.collect_errors,
            "broken": suite.broken,
            "native_async": suite.coroutines,
            "modules": outside[:2000],
            "seconds": time.monotonic() - started,
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


def run_suite(suite: Suite, command: Message, instrumentation: Instrumentation | None, imported: list[int]) -> Message:
    """Runs collected items in a fork that is watched; see `_report` for the answer."""
    wanted = command.get("select")
    names = [item.nodeid for item in suite.items]
    indices = [i for i, name in enumerate(names) if wanted is None or name in set(wanted)]
    until = time.monotonic() + command["seconds"]
    short, long = command["short"], command["long"]
    report = _Report(names, instrumentation, imported)
    slow: list[int] = []

    def work(batch: list[int], send: Send, limit: float) -> None:
        limit_memory(command["memory"])
        _run_items(suite, batch, send, limit, instrumentation)

    def watch(batch: list[int], limit: float, *, last: bool) -> None:
        for kind, index, payload in supervise(lambda b, s: work(b, s, limit), batch, lambda _: limit * 1.5 + 2, until):
            report.take(kind, index, payload)
            if kind == HANG or (kind == "end" and payload["o"] == "hang"):
                if last:
                    return  # the others that were slow are taken to hang for the same reason
                slow.append(index)

    watch(indices, short, last=short >= long)
    if slow and short < long:
        # Slow, not necessarily stuck: one more chance with the long limit, while `deferred` seconds last.
        until = min(until, time.monotonic() + command["deferred"])
        watch(slow, long, last=True)
    return report.answer(indices)


def _run_items(
    suite: Suite, batch: list[int], send: Send, limit: float, instrumentation: Instrumentation | None
) -> None:
    spawned: list[str] = []
    children = _ChildHits(suite.root) if instrumentation else None
    sys.addaudithook(lambda event, _: spawned.append(event) if event in _SPAWNS else None)
    known = 0
    suite.plugin.quick = False
    for index, following in pairwise([*batch, -1]):
        item = suite.items[index]
        nextitem = suite.items[following] if following >= 0 else None
        spawned.clear()
        send(("begin", index, None))
        if instrumentation:
            instrumentation.take()
        outcome, seconds = suite.run(item, nextitem, limit, limit * 1.3)
        payload: dict[str, Any] = {"o": outcome, "t": seconds, "f": suite.plugin.failures[:3], "s": bool(spawned)}
        if instrumentation:
            payload["h"] = instrumentation.take()
            payload["n"] = instrumentation.lines[known:] if known else instrumentation.lines[:]
            payload["k"] = known
            known = len(instrumentation.lines)
        if children is not None and spawned:
            payload["x"] = children.take()
        send(("end", index, payload))


class _ChildHits:
    """Lines that processes started by tests ran, as `site/sitecustomize.py` leaves them behind."""

    def __init__(self, root: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="penstock-hits-")
        site = os.path.join(os.path.dirname(__file__), "site")  # noqa: PTH118, PTH120
        before = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = f"{site}:{before}" if before else site
        os.environ["PENSTOCK_HITS"] = self._folder
        os.environ["PENSTOCK_ROOT"] = root.rstrip("/")

    def take(self) -> list[tuple[str, int]]:
        found: set[tuple[str, int]] = set()
        for name in os.listdir(self._folder):  # noqa: PTH208
            path = os.path.join(self._folder, name)  # noqa: PTH118
            with open(path) as handle:  # noqa: PTH123
                for entry in handle:
                    line, _, file = entry.rstrip("\n").partition(" ")
                    found.add((file, int(line)))
            os.unlink(path)  # noqa: PTH108
        return sorted(found)


class _Report:
    """Gathers what a run's children say and puts it in one answer.

    {"outcomes": {id: outcome}, "failures": {id: [failure]}, "seconds": {id: s}, "unfinished": [id],
     "spawned": [id], "files": [path], "places": [[file, line]], "hits": {id: [place]}, "imported": [place]}
    """

    def __init__(self, names: list[str], instrumentation: Instrumentation | None, imported: list[int]) -> None:
        self._names = names
        self._instrumentation = instrumentation
        self.outcomes: dict[str, str] = {}
        self.failures: dict[str, list[Message]] = {}
        self.seconds: dict[str, float] = {}
        self.spawned: list[str] = []
        self.hits: dict[str, list[int]] = {}
        self._kept = 0
        self._places: dict[tuple[str, int], int] = {}
        self._table: list[int] = []
        lines = instrumentation.lines if instrumentation else []
        self.imported = [self._place(*lines[n]) for n in imported]

    def _place(self, path: str, line: int) -> int:
        return self._places.setdefault((path, line), len(self._places))

    def take(self, kind: str, index: int, payload: Any) -> None:
        if kind == "begin":
            return
        if kind == "broken":
            raise RuntimeError(f"the run broke off: {payload}")
        name = self._names[index]
        if kind in (HANG, CRASH):
            text = "did not end in time and could not be interrupted" if kind == HANG else "took the process down"
            kind_name = "Hang" if kind == HANG else "Crash"
            self.outcomes[name] = "hang" if kind == HANG else "error"
            self.failures[name] = [{"type": kind_name, "message": text, "frames": [], "when": "call"}]
            return
        self.outcomes[name] = payload["o"]
        self.seconds[name] = payload["t"]
        self.failures.pop(name, None)
        if payload["f"]:
            self.failures[name] = payload["f"]
        if payload["s"]:
            self.spawned.append(name)
        if "h" in payload:
            if payload["k"] == 0:
                self._table = []
            self._table.extend(self._place(*place) for place in payload["n"])
            hits = {self._table[n] for n in payload["h"] if n < len(self._table)}
            hits |= {self._place(*place) for place in payload.get("x", ())}
            self._kept += len(hits)
            if self._kept <= _MOST_HITS or payload["f"]:
                self.hits[name] = sorted(hits)

    def answer(self, indices: list[int]) -> Message:
        files: dict[str, int] = {}
        places = [[files.setdefault(path, len(files)), line] for path, line in self._places]
        return {
            "outcomes": self.outcomes,
            "failures": self.failures,
            "seconds": self.seconds,
            "unfinished": [self._names[i] for i in indices if self._names[i] not in self.outcomes],
            "spawned": self.spawned,
            "files": list(files),
            "places": places,
            "hits": self.hits,
            "imported": self.imported,
        }


def _try(trials: Trials, command: Message) -> Message:
    """Answers {"trials": [...] in the order of the candidates (None: not reached), "leaky": bool}."""
    count = len(command["candidates"])
    results: list[Any] = [None] * count
    until = time.monotonic() + command["seconds"]
    leaky = False
    each = command["cpu"] * 4 * max(1, len(command["targets"])) + 2

    def run(batch: list[int]) -> None:
        nonlocal leaky
        for kind, index, payload in supervise(lambda b, s: trials.work(command, b, s), batch, lambda _: each, until):
            if kind == "broken":
                raise RuntimeError(f"trying candidates broke off: {payload}")
            if kind in (HANG, CRASH):
                results[index] = {"s": "hang" if kind == HANG else "crash"}
            elif kind == "end" and index < 0:
                leaky = leaky or not payload["canary"]
            elif kind == "end":
                results[index] = payload

    if command.get("alone"):
        for index in range(count):
            run([index])
    else:
        run(list(range(count)))
        if leaky:
            # Some candidate left traces behind: what failed after it may have failed for that reason.
            for index in range(count):
                if results[index] is None or results[index]["s"] in ("fail", "hang", "regress"):
                    run([index])
    return {"trials": results, "leaky": leaky}


def _preload(names: list[str]) -> None:
    """Imports modules that lie outside the repository, so that fresh imports of the repository are quicker."""
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:
            sys.stderr.write(f"{name}: {error}\n")


_stamps = count(1_000_000_000, 2)


def _write(path: str, text: str) -> None:
    """Writes a file with a modification time never used before: a stale .pyc must not stand for it."""
    with open(path, "wb") as handle:  # noqa: PTH123
        handle.write(text.encode())
    stamp = next(_stamps)
    os.utime(path, (stamp, stamp))


def _fresh(command: Message) -> Message:
    """Imports the repository anew, with `files` replaced for the time, and runs targets or the whole suite.

    With `targets`: answers a trial. Without: a report of the whole suite plus {"tests", "errors", "broken"}.
    """
    saved: dict[str, str | None] = {}
    for path, text in command.get("files", {}).items():
        full = os.path.join(command["root"], path)  # noqa: PTH118
        with open(full, encoding="utf-8", newline="") as handle:  # noqa: PTH123
            saved[full] = handle.read()
        _write(full, text)
    try:
        if "targets" in command:
            return _fresh_trial(command)
        return _fresh_suite(command)
    finally:
        for full, before in saved.items():
            if before is not None:
                _write(full, before)


def _fresh_trial(command: Message) -> Message:
    until = time.monotonic() + command["seconds"]

    def work(batch: list[int], send: Send) -> None:
        limit_memory(command["memory"])
        send(("begin", 0, None))
        _enter(command)
        suite = _collected(command, command.get("select"))
        if suite.broken is not None:
            send(("end", 0, {"s": "fail", "p": [], "g": suite.broken["type"], "l": _last(suite.broken)}))
            return
        problems = suite.plugin.collect_errors
        targets = []
        for target in command["targets"]:
            if target in suite.by_id:
                targets.append(target)
            else:
                inside = [i for i in suite.by_id if i.startswith(target)] if target not in problems else []
                if not inside:
                    failure = problems.get(target) or next(iter(problems.values()), None)
                    detail = (
                        {"g": f"{failure['type']}|{failure['message'][:200]}", "l": _last(failure)} if failure else {}
                    )
                    send(("end", 0, {"s": "fail", "p": [], **detail}))
                    return
                targets.extend(inside)
        suite.plugin.quick = True
        send(("end", 0, run_targets(suite, targets, command)))

    for kind, _, payload in supervise(work, [0], lambda _: command["seconds"], until):
        if kind == "end":
            return {"trial": payload}
        if kind in (HANG, CRASH, "broken"):
            return {"trial": {"s": "hang" if kind == HANG else "crash"}}
    return {"trial": {"s": "hang"}}


def _last(failure: Message | None) -> list[Any] | None:
    return list(failure["frames"][-1][:2]) if failure and failure["frames"] else None


def _fresh_suite(command: Message) -> Message:
    """The whole suite in a process of its own; after a hang or crash the next process goes on behind it."""
    ready, collecting = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        try:
            _enter(command)
            suite = _collected(command, command.get("select"))
            answer: Message = {"outcomes": {}, "failures": {}, "seconds": {}, "unfinished": [], "spawned": []}
            if suite.broken is None:
                answer = run_suite(suite, {**command, "select": None}, None, [])
            answer["tests"] = [item.nodeid for item in suite.items]
            answer["errors"] = suite.plugin.collect_errors
            answer["broken"] = suite.broken
        except BaseException:
            answer = {"error": traceback.format_exc(limit=-4)[-2000:]}
        data = marshal.dumps(answer)
        while data:
            data = data[os.write(collecting, data) :]
        os._exit(0)
    os.close(collecting)
    gathered = bytearray()
    until = time.monotonic() + command["seconds"] + 5
    while True:
        found, _, _ = select.select([ready], [], [], max(0.0, until - time.monotonic()))
        chunk = os.read(ready, 1 << 18) if found else b""
        if not chunk:
            break
        gathered += chunk
    os.close(ready)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)
    os.waitpid(pid, 0)
    if not gathered:
        return {"error": "importing the repository and its tests did not end in time"}
    result: Message = marshal.loads(bytes(gathered))  # noqa: S302 - from our own fork
    return result
