"""Tries candidates in place, in forks of the collected session; `fresh` uses `run_targets` too."""

import gc
import os
import resource
from collections.abc import Callable
from typing import Any

from .children import Send
from .clock import clock
from .direct import Direct
from .patching import Patcher, State, Undo, Unpatchable
from .suite import Suite, signature
from .turns import Turns

Trial = dict[str, Any]
_LEAST_CPU = 0.025
"""Processor seconds that a target gets at first: more than two of the steps in which some kernels count them."""
_WAIT = 0.3
"""Seconds that a target may wait at first, for anything but the processor."""
_PATIENCE = 8
_WORTH = 0.02
"""Processor seconds of a test from which on pytest's hooks cost little beside it."""


class Trials:
    """Holds what a batch needs in the collecting process; `work` runs in its forks."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._patcher = Patcher(suite.root)
        self._reliable: dict[str, bool] = {}
        self._direct = Direct(suite.items[0].config) if suite.items else None
        gc.freeze()  # what is there now lives as long as the process, and forks need not look at it

    def work(self, command: dict[str, Any], batch: list[int], send: Send) -> None:
        """Runs candidates `batch` of `command` one after another, undoing each.

        A candidate's last frame holds {"s": status, "p": indices of the targets passed, ...}; status is one of
        `pass`, `fail`, `regress`, `hang`, `compile`, `fresh`. With "cut", a candidate that hangs had little time; with
        `patient`, each has `_PATIENCE` times as much. The frame `("end", -1, {"canary": bool, "took": seconds})` says
        whether the unpatched program still fails as it did before the batch, and the processor time of its slowest
        target.
        """
        suite, plugin = self._suite, self._suite.plugin
        plugin.quick = True
        limit_memory(command["memory"])
        state = _SafeState(suite.root, self._patcher.caches)
        targets = [t for t in command["targets"] if t in suite.by_id]
        most = command["cpu"]
        if len(batch) > 1:
            took = self._try_directly(targets[: command.get("full", 3)], most, state)
            before, _ = self._timed(targets[0], most)
        else:
            before, took = self._timed(targets[0], most)
        state.restore()
        # The host measured whole runs, which are slower than those of candidates.
        quick, patient = max(_LEAST_CPU, 20 * took), command.get("patient")
        command = {
            **command,
            "quick": min(most, quick * (_PATIENCE if patient else 1)),
            "wait": 1.0 if patient else _WAIT,
        }
        if not patient:
            suite.turns, self._patcher.counts = Turns(), True
            self._bound_turns(True)
        for index in batch:
            send(("begin", index, None))
            trial = self._try(command["candidates"][index], targets, command, state)
            send(("end", index, trial))
        self._bound_turns(False)
        canary = len(batch) < 2 or (not state.failed and self._signature(targets[0], most) == before)
        send(("end", -1, {"canary": canary, "took": took}))

    def _try_directly(self, targets: list[str], limit: float, state: "_SafeState") -> float:
        """Has simple tests called without hooks, except those of these targets that end otherwise then. Returns the
        most processor time that one of them took."""
        suite, direct = self._suite, self._direct
        longest = 0.0
        for target in targets:
            item = suite.by_id[target]
            simple = direct is not None and direct.call_of(item) is not None
            suite.direct = direct if simple else None
            found, took = self._timed(target, limit)
            longest = max(longest, took)
            suite.direct = None
            state.restore()
            if not simple or direct is None or found.startswith("hang"):
                continue
            if took >= _WORTH or self._signature(target, limit) != found:
                direct.refuse(item)
            state.restore()
        suite.direct = direct
        return longest

    def _bound_turns(self, bounded: bool) -> None:
        if self._suite.turns is not None:
            self._suite.turns.bounded = bounded

    def _timed(self, target: str, limit: float) -> tuple[str, float]:
        """How a target ends, and its processor time: no longer than it took, since some kernels count in steps of
        10 ms."""
        computed, began = clock.cpu(), clock.now()
        found = self._signature(target, limit)
        return found, min(clock.cpu() - computed, clock.now() - began)

    def _signature(self, target: str, cpu: float) -> str:
        suite = self._suite
        outcome, _ = suite.run(suite.by_id[target], None, cpu, cpu * 4 + 1)
        if outcome == "hang":
            return outcome  # where it was interrupted is random
        return outcome + (signature(suite.plugin.failures[0]) if suite.plugin.failures else "")

    def _try(
        self, candidate: dict[str, Any], targets: list[str], command: dict[str, Any], state: "_SafeState"
    ) -> Trial:
        suite = self._suite
        undo: list[Undo] = []
        try:
            for part in candidate["parts"]:
                undo.extend(self._patcher.apply(part))
        except Unpatchable:
            self._patcher.revert(undo)
            return {"s": "fresh"}
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self._patcher.revert(undo)
            return {"s": "compile"}
        files = _Files(suite.root, candidate.get("files", {}))
        try:
            trial = run_targets(suite, targets, command, state.between)
            if trial["s"] == "hang" and not command.get("patient"):
                return {**trial, "cut": True}
            if trial["s"] != "pass":
                return trial
            self._bound_turns(False)  # how long the other tests take is known
            for test in candidate.get("covering", ()):
                item = suite.by_id.get(test)
                if item is None:
                    continue
                state.restore()
                outcome, _ = suite.run(item, None, command["cpu"] * 4, command["cpu"] * 8 + 1)
                if outcome in ("failed", "error", "hang"):
                    if test not in self._reliable:
                        self._patcher.revert(undo)
                        undo = []
                        state.restore()
                        alone, _ = suite.run(item, None, command["cpu"] * 4, command["cpu"] * 8 + 1)
                        self._reliable[test] = alone == "passed"
                        for part in candidate["parts"]:
                            undo.extend(self._patcher.apply(part))
                    if self._reliable[test]:
                        return {**trial, "s": "regress", "t": test}
            return trial
        finally:
            self._bound_turns(True)
            files.restore()
            self._patcher.revert(undo)
            state.restore()


class _Files:
    """Edited files on disk during one trial, for tests that start other processes; each byte is given as a character.
    Each file gets a random modification time, so that Python loads no .pyc of another candidate for it."""

    def __init__(self, root: str, files: dict[str, str]) -> None:
        self._before: list[tuple[str, bytes]] = []
        for path, text in files.items():
            full = os.path.join(root, path)  # noqa: PTH118
            with open(full, "rb") as handle:  # noqa: PTH123
                self._before.append((full, handle.read()))
            _put(full, text.encode("latin-1"))

    def restore(self) -> None:
        for full, content in self._before:
            _put(full, content)


def _put(path: str, content: bytes) -> None:
    with open(path, "wb") as handle:  # noqa: PTH123
        handle.write(content)
    stamp = int.from_bytes(os.urandom(4), "big") >> 1
    os.utime(path, (stamp, stamp))


class _SafeState:
    """A `State` that tolerates errors of the repository's objects: when saving or restoring fails, each candidate is
    tried in a process of its own."""

    def __init__(self, root: str, caches: list[Any]) -> None:
        self.failed = ""
        self._touched = False
        self._state: State | None = None
        try:
            self._state = State(root, caches)
        except Exception as error:
            self.failed = f"{type(error).__name__}: {error}"

    def between(self) -> None:
        """Restores between the tests of one candidate, where tests or candidates have changed something before."""
        if self._touched:
            self.restore()

    def restore(self) -> None:
        if self._state is None:
            return
        try:
            self._touched = self._state.restore() or self._touched
        except Exception as error:
            self.failed = f"{type(error).__name__}: {error}"


def run_targets(
    suite: Suite, targets: list[str], command: dict[str, Any], between: Callable[[], None] | None = None
) -> Trial:
    """Runs targets in order until one fails; the first `full` are run in any case, to see partial progress."""
    first: dict[str, Any] | None = None
    full = command.get("full", 3)
    cpu, wait = command.get("quick", command["cpu"]), command.get("wait", 1.0)
    status = "pass"
    passing = []
    for position, target in enumerate(targets):
        if status != "pass" and position >= full:
            break
        outcome, _ = suite.run(suite.by_id[target], None, cpu, cpu * 4 + wait)
        if between is not None:
            between()
        if outcome == "passed":
            passing.append(position)
            continue
        status = "hang" if outcome == "hang" else "fail"
        if first is None and suite.plugin.failures:
            failure = suite.plugin.failures[0]
            first = {"g": signature(failure)[:300]}
            if command.get("say"):
                first["m"] = f"{target}: {failure['type']}: {failure['message']}"[:4000]
        if outcome == "hang":
            break
    return {"s": status, "p": passing, **(first or {})}


def limit_memory(extra: int) -> None:
    """Lets this process grow by `extra` bytes of address space, so that a runaway candidate ends in MemoryError."""
    with open("/proc/self/statm") as handle:  # noqa: PTH123
        used = int(handle.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = used + extra
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
