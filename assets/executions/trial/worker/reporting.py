"""Runs collected items in supervised forks, and merges their reports into one answer."""

import os
import tempfile
from itertools import pairwise
from typing import Any

from .children import CRASH, HANG, RENEW, Send, supervise
from .clock import clock
from .damage import Damage
from .instrument import Instrumentation
from .suite import Suite
from .trials import limit_memory
from .watch import Watch
from .wire import Message

_MOST_HITS = 3_000_000
"""Beyond this number of executed places, only the coverage of failing tests is stored."""


def run_suite(suite: Suite, command: Message, instrumentation: Instrumentation | None, imported: list[int]) -> Message:
    """Runs collected items in supervised forks; see `_Report` for the answer."""
    wanted = command.get("select")
    names = [item.nodeid for item in suite.items]
    indices = [i for i, name in enumerate(names) if wanted is None or name in set(wanted)]
    until = clock.now() + command["seconds"]
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
                    return  # the other slow tests are assumed to hang for the same reason
                slow.append(index)

    watch(indices, short, last=short >= long)
    if slow and short < long:
        # Slow, not necessarily stuck: one more chance with the long limit, while `deferred` seconds last.
        until = min(until, clock.now() + command["deferred"])
        watch(slow, long, last=True)
    return report.answer(indices)


def _run_items(
    suite: Suite, batch: list[int], send: Send, limit: float, instrumentation: Instrumentation | None
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
        outcome, seconds = suite.run(item, nextitem, limit, limit * 1.3)
        payload: dict[str, Any] = {"o": outcome, "t": seconds, "f": suite.plugin.failures[:3], "s": watch.spawned}
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

    {"outcomes": {id: outcome}, "failures": {id: [failure]}, "seconds": {id: s}, "unfinished": [id],
     "spawned": [id], "files": [path], "places": [[file, line]], "hits": {id: [place]}, "imported": [place]}
    """

    def __init__(self, names: list[str], instrumentation: Instrumentation | None, imported: list[int]) -> None:
        self._names = names
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
            raise RuntimeError(f"running the tests failed: {payload}")
        name = self._names[index]
        if kind in (HANG, CRASH):
            text = "did not end in time and could not be interrupted" if kind == HANG else "ended the process"
            if payload:
                text = f"broke its process: {payload}"[-1500:]
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
