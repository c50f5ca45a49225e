"""Runs collected items in supervised forks, and merges their reports into one answer."""

import os
import tempfile
from itertools import pairwise
from typing import Any

from .children import CRASH, HANG, RENEW, Send, supervise
from .clock import clock
from .damage import Damage
from .instrument import Instrumentation
from .session import set_variables
from .suite import Suite
from .trials import limit_memory
from .watch import Watch
from .wire import Message

_MOST_HITS = 3_000_000
"""Beyond this number of executed places, only the coverage of failing tests is stored."""


def run_suite(suite: Suite, command: Message, instrumentation: Instrumentation | None, imported: list[int]) -> Message:
    """Runs collected items in supervised forks; see `_Report` for the answer.

    Each test may first use `cpu` seconds of processor time and `wall` seconds, or four times its `usual` seconds if
    that is more. Those that were stopped are run again with four times the limit, round after round, while `deferred`
    seconds for these repeats and `seconds` for everything last. With `ending`, ids of tests known to pass, the run ends
    at the first of them that does not. `variables` of the environment hold for this run alone.
    """
    wanted = command.get("select")
    chosen = None if wanted is None else frozenset(wanted)
    names = [item.nodeid for item in suite.items]
    indices = [i for i, name in enumerate(names) if chosen is None or name in chosen or name.split("::")[0] in chosen]
    until = clock.now() + command["seconds"]
    usual: dict[str, float] = command.get("usual") or {}
    ending = frozenset(command.get("ending") or ())
    limits = {i: _Limit(max(command["cpu"], 4 * usual.get(names[i], 0.0)), command["wall"]) for i in indices}
    report = _Report(names, instrumentation, imported)

    def work(batch: list[int], send: Send) -> None:
        limit_memory(command["memory"])
        set_variables(command)
        _run_items(suite, batch, send, limits, instrumentation)

    def run(batch: list[int], until: float) -> bool:
        """False when the run shall end."""
        for kind, index, payload in supervise(work, batch, lambda i: limits[i].grace, until):
            report.take(kind, index, payload, limits)
            if index >= 0 and names[index] in ending and report.failed(names[index]):
                return False
        return True

    going = run(indices, until)
    repeat_until = min(until, clock.now() + command["deferred"])
    while going and (slow := [i for i in indices if names[i] in report.stopped]) and clock.now() < repeat_until:
        # Those that waited rather than computed come first: they are slow more often than stuck.
        slow.sort(key=lambda i: (report.computed(names[i]), i))
        for i in slow:
            limits[i] = limits[i].longer()
        going = run(slow, repeat_until)
    return {**report.answer(indices), "ended": not going}


class _Limit:
    """How long one test may run: `cpu` seconds of processor time, `wall` seconds in all."""

    def __init__(self, cpu: float, wall: float) -> None:
        self.cpu, self.wall = cpu, max(wall, 1.3 * cpu)

    @property
    def grace(self) -> float:
        """Seconds after which a test that cannot be interrupted is killed."""
        return 1.15 * self.wall + 2

    def longer(self) -> "_Limit":
        return _Limit(4 * self.cpu, 4 * self.wall)


def _run_items(
    suite: Suite, batch: list[int], send: Send, limits: dict[int, _Limit], instrumentation: Instrumentation | None
) -> None:
    watch, damage = Watch(), Damage(suite.items[0].config)
    children = _ChildHits(suite.root) if instrumentation else None
    watch.install()
    known = 0
    suite.plugin.quick = False
    for index, following in pairwise([*batch, -1]):
        item = suite.items[index]
        nextitem = suite.items[following] if following >= 0 else None
        watch.clear()
        send(("begin", index, None))
        if instrumentation:
            instrumentation.take()
        began = clock.cpu()
        outcome, seconds = suite.run(item, nextitem, limits[index].cpu, limits[index].wall)
        used = clock.cpu() - began
        payload: dict[str, Any] = {
            "o": outcome, "t": seconds, "c": used, "f": suite.plugin.failures[:3], "s": watch.spawned
        }  # fmt: skip
        damage.repair()
        for failure in payload["f"][:1]:
            failure["around"] = watch.around()
        if instrumentation:
            payload["h"] = instrumentation.take()
            payload["n"] = instrumentation.lines[known:] if known else instrumentation.lines[:]
            payload["k"] = known
            known = len(instrumentation.lines)
        if children is not None and watch.spawned:
            payload["x"] = children.take()
        send(("end", index, payload))
        if following >= 0 and damage.beyond_repair():
            send((RENEW, -1, None))
            return


class _ChildHits:
    """Lines executed by processes that tests started, as `site/sitecustomize.py` wrote them to files."""

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
    """Merges the reports of a run's forks into one answer:

    {"outcomes": {id: outcome}, "failures": {id: [failure]}, "seconds": {id: s}, "stopped": {id: s},
     "unfinished": [id], "spawned": [id], "files": [path], "places": [[file, line]], "hits": {id: [place]},
     "imported": [place], "ended": whether it ended early}

    A test in `stopped` has the outcome `unknown`; one in `unfinished` was never started.
    """

    def __init__(self, names: list[str], instrumentation: Instrumentation | None, imported: list[int]) -> None:
        self._names = names
        self.outcomes: dict[str, str] = {}
        self.failures: dict[str, list[Message]] = {}
        self.seconds: dict[str, float] = {}
        self.stopped: dict[str, float] = {}
        self._computed: dict[str, float] = {}
        self.spawned: list[str] = []
        self.hits: dict[str, list[int]] = {}
        self._kept = 0
        self._places: dict[tuple[str, int], int] = {}
        self._table: list[int] = []
        lines = instrumentation.lines if instrumentation else []
        self.imported = [self._place(*lines[n]) for n in imported]

    def _place(self, path: str, line: int) -> int:
        return self._places.setdefault((path, line), len(self._places))

    def failed(self, name: str) -> bool:
        """Whether the test ran to its end and failed, for all that is known."""
        return self.outcomes.get(name) in ("failed", "error")

    def computed(self, name: str) -> bool:
        """Whether a stopped test spent most of its time computing."""
        return self._computed.get(name, 0.0) > 0.5 * self.stopped.get(name, 0.0)

    def take(self, kind: str, index: int, payload: Any, limits: dict[int, _Limit]) -> None:
        if kind == "broken":
            raise RuntimeError(f"running the tests failed: {payload}")
        name = self._names[index]
        self.stopped.pop(name, None)
        if kind in (HANG, CRASH):
            text = "did not end in time and could not be interrupted" if kind == HANG else "ended the process"
            if payload:
                text = f"broke its process: {payload}"[-1500:]
            kind_name = "Hang" if kind == HANG else "Crash"
            self.outcomes[name] = "unknown" if kind == HANG else "error"
            self.failures[name] = [{"type": kind_name, "message": text, "frames": [], "when": "call"}]
            if kind == HANG:
                self.stopped[name] = self._computed[name] = limits[index].grace
            return
        self.outcomes[name] = "unknown" if payload["o"] == "hang" else payload["o"]
        self.seconds[name] = payload["t"]
        if payload["o"] == "hang":
            self.stopped[name], self._computed[name] = payload["t"], payload["c"]
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
            "stopped": self.stopped,
            "unfinished": [self._names[i] for i in indices if self._names[i] not in self.outcomes],
            "spawned": self.spawned,
            "files": list(files),
            "places": places,
            "hits": self.hits,
            "imported": self.imported,
        }
