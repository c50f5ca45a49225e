"""Answers `behaviour`: what patches change, on calls recorded during the tests and on variations of these.

Everything happens in forks of the pristine process. One fork imports the unchanged repository and records calls; forks
of that fork apply a patch in place and run calls, examples or tests. Each step's results are sent as soon as they
exist, so that a crash or a timeout loses only the rest.
"""

import time
from collections.abc import Callable
from typing import Any

from .behaviour_call import Call
from .behaviour_examples import module_of, run_examples, texts_with_examples
from .behaviour_inputs import variations
from .behaviour_outcome import run_call, shown
from .behaviour_record import Recorder, record_calls
from .behaviour_relations import related_calls
from .behaviour_reload import Part, functions_of, parts_of
from .children import CRASH, HANG, Child, Send, supervise
from .patching import Patcher, Unpatchable
from .session import collected, enter
from .suite import Suite
from .trials import _SafeState, limit_memory
from .wire import Message

_CALL_SECONDS = 0.25
_NOT_APPLIED = (Unpatchable, SyntaxError, ValueError, RecursionError, MemoryError)


def behaviour(command: Message) -> Message:
    """Measures `patches`, each {path: new text}, of one repository.

    The answer holds {"functions": [name], "calls": [call], "patches": [[result] or None], "examples": [[example]],
    "notes": [text], "lost": text}; missing parts were not reached within `seconds`. `lost` says why there may have been
    calls that are not among `calls`, and is empty where none are missing.
    """
    answer: Message = {"notes": [], "lost": ""}

    def lose(why: str) -> None:
        answer["notes"].append(why)
        answer["lost"] = answer["lost"] or why

    until = time.monotonic() + command["seconds"]
    child = Child(lambda send: _Measurement(command, send, until).run())
    try:
        while True:
            frame = child.read(max(0.1, until + 2 - time.monotonic()))
            if frame is None:
                break
            kind, _, payload = frame
            if kind == "broken":
                lose(f"the measurement ended early: {str(payload)[-300:]}")
            elif kind == "lost":
                lose(payload)
            elif kind == "note":
                answer["notes"].append(payload)
            else:
                answer[kind] = payload
    except TimeoutError:
        lose("the measurement did not end in time")
    finally:
        child.end()
    return answer


class _Measurement:
    """One measurement, in the fork that holds the collected tests."""

    def __init__(self, command: Message, send: Send, until: float) -> None:
        self._command, self._send, self._until = command, send, until
        self._suite: Suite
        self._patcher: Patcher
        self._state: _SafeState
        self._functions: list[tuple[str, list[str], int]] = []
        self._live: dict[int, Any] = {}

    def run(self) -> None:
        command = self._command
        limit_memory(command["memory"])
        enter(command)
        self._suite = collected(command, command.get("select"))
        if self._suite.broken is not None:
            self._note(f"the tests could not be collected: {self._suite.broken['type']}")
            return
        self._suite.plugin.quick = True
        self._patcher = Patcher(self._suite.root)
        self._state = _SafeState(self._suite.root, self._patcher.caches)
        patches, texts = self._parts()
        recorder = self._recorded(texts)
        self._send(("functions", 0, [".".join(chain) for _, chain, _ in self._functions]))
        self._examples(patches)
        calls = recorder.calls
        if calls:
            calls = [*calls, *variations(calls, command["variations"])]
            calls += related_calls(calls, command["related"])
        self._compare(calls, patches)

    def _note(self, text: str) -> None:
        self._send(("note", 0, text))

    def _parts(self) -> tuple[list[list[Part] | None], dict[str, str]]:
        """Each patch's parts, None when it needs a fresh import; sets the functions to measure."""
        texts: dict[str, str] = {}
        found: list[list[Part] | None] = []
        for number, patch in enumerate(self._command["patches"]):
            try:
                parts: list[Part] = []
                functions = []
                for path, text in patch.items():
                    old = texts.setdefault(path, _read(self._suite.root, path))
                    if text is None or not path.endswith(".py"):
                        raise Unpatchable(path)
                    changed = parts_of(path, old, text)
                    parts += changed
                    functions += functions_of(path, old, changed)
                self._try_parts(parts)
            except _NOT_APPLIED as error:
                self._note(f"patch {number} needs a fresh import: {error}"[:300])
                found.append(None)
                continue
            found.append(parts)
            self._functions += [function for function in functions if function not in self._functions]
        return found, texts

    def _try_parts(self, parts: list[Part]) -> None:
        """Raises `Unpatchable` when the parts cannot be applied to what is imported."""

        def work(send: Send) -> None:
            try:
                self._apply(parts)
            except _NOT_APPLIED as error:
                send(("end", 0, f"{type(error).__name__}: {error}"))
            else:
                send(("end", 0, ""))

        child = Child(work)
        try:
            frame = child.read(5.0)
        except TimeoutError:
            frame = None
        finally:
            child.end()
        if frame is None or frame[2]:
            raise Unpatchable(frame[2] if frame else "applying it did not end")

    def _apply(self, parts: list[Part]) -> None:
        for part in sorted(parts, key=lambda p: "exec" not in p):
            if "exec" in part:
                module = module_of(self._suite.root, part["path"])
                if module is None:
                    raise Unpatchable(part["path"])
                try:
                    exec(compile(part["exec"], part["path"], "exec", dont_inherit=True), vars(module))  # noqa: S102 - repository code, in the sandbox
                except Exception as error:
                    raise Unpatchable(f"{type(error).__name__}: {error}") from error
            else:
                self._patcher.apply(part)

    def _recorded(self, texts: dict[str, str]) -> Recorder:
        recorder = Recorder()
        command = self._command
        for number in recorder.install(self._patcher, self._functions, texts):
            path, chain, line = self._functions[number]
            live = self._patcher._by_place[path, ".".join(chain)]
            self._live[number] = next(f for f in live if f.__code__.co_firstlineno == line)
        tests = [*((t, "target") for t in command["targets"]), *((t, "passing") for t in command["covering"])]
        end = min(self._until, time.monotonic() + 0.3 * command["seconds"])
        record_calls(self._suite, recorder, tests, command["cpu"], self._state.restore, lambda: time.monotonic() < end)
        recorder.remove(self._patcher)
        self._state.restore()
        for reason, count in recorder.skipped.items():
            self._send(("lost", 0, f"{count} calls were not recorded: {reason}"))
        return recorder

    def _in_forks(
        self, count: int, body: Callable[[int], Message], parts: list[Part], order: list[int], each: float, end: float
    ) -> list[Message | None]:
        """`body(i)` for each index in `order`, in forks with a patch applied."""
        results: list[Message | None] = [None] * count

        def work(batch: list[int], send: Send) -> None:
            limit_memory(self._command["memory"])
            self._apply(parts)
            state = _SafeState(self._suite.root, self._patcher.caches) if parts else self._state
            for index in batch:
                send(("begin", index, None))
                result = body(index)
                state.restore()
                send(("end", index, result))

        for kind, index, payload in supervise(work, order, lambda _: each, min(end, self._until)):
            if kind == "broken":
                self._note(f"running calls failed: {str(payload)[-200:]}")
            elif kind in (HANG, CRASH):
                results[index] = {"s": kind}
            elif kind == "end":
                results[index] = payload
        return results

    def _examples(self, patches: list[list[Part] | None]) -> None:
        texts = texts_with_examples(self._suite.root, self._functions, self._patcher, self._command["documents"])
        if not texts:
            return

        def body(index: int) -> Message:
            name, text, names = texts[index]
            return {"name": name, "examples": [list(e) for e in run_examples(name, text, names)]}

        order = list(range(len(texts)))
        end = time.monotonic() + 0.2 * self._command["seconds"]
        versions: list[list[Part] | None] = [[], *patches]
        results = [None if p is None else self._in_forks(len(texts), body, p, order, 6.0, end) for p in versions]
        self._send(("examples", 0, results))

    def _compare(self, calls: list[Call], patches: list[list[Part] | None]) -> None:
        limit = _Limit()

        def plain(index: int) -> Message:
            call = calls[index]
            return run_call(call, self._live[call.function], _CALL_SECONDS, traced=False).message()

        def first(index: int) -> Message:
            call = calls[index]
            began = time.monotonic()
            outcome = run_call(call, self._live[call.function], limit.seconds, traced=False)
            limit.learn(outcome.status, time.monotonic() - began)
            return outcome.message()

        def traced(index: int) -> Message:
            call = calls[index]
            return run_call(call, self._live[call.function], 4 * _CALL_SECONDS, traced=True).message()

        order = list(range(len(calls)))
        each = 6 * _CALL_SECONDS + 3
        left = max(0.5, self._until - time.monotonic() - 0.3)
        share = left / (2 + len(patches))
        original = self._in_forks(len(calls), first, [], order, each, time.monotonic() + share)
        # In another order: a result that depends on earlier calls or on chance differs.
        fine = [i for i in reversed(order) if (original[i] or {}).get("s") in ("value", "raise")]
        again = self._in_forks(len(calls), traced, [], fine, each, time.monotonic() + share)
        steady = [i for i in order if _same(original[i], again[i])]
        for i in steady:
            original[i] = again[i]  # with the lines that it executes
        if len(steady) < len(fine):
            self._note(
                f"{len(fine) - len(steady)} of {len(fine)} calls gave another result, or none in time, when repeated"
            )
        repeatable = set(steady)
        self._send(
            (
                "calls",
                0,
                [
                    {
                        "f": call.function,
                        "o": call.origin,
                        "h": call.how or ", ".join(f"{n} = {shown(v)}" for n, v in call.arguments.items())[:300],
                        "b": call.base,
                        "v": list(call.slots),
                        "u": call.unusual,
                        "t": call.test,
                        "r": original[number],
                        "steady": number in repeatable,
                    }
                    for number, call in enumerate(calls)
                ],
            )
        )
        results: list[list[Any] | None] = []
        for parts in patches:
            if parts is None:
                results.append(None)
                continue
            found = self._in_forks(len(calls), plain, parts, steady, each, time.monotonic() + share)
            results.append(["same" if _same(was, now) else now for was, now in zip(original, found, strict=True)])
        self._send(("patches", 0, results))


class _Limit:
    """The time limit of one call. It falls after several calls that did not end, to a multiple of the slowest one that
    did: a program that hangs on most inputs would else leave no time for the others."""

    _HANGS, _TIMES, _LEAST = 3, 50, 0.02

    def __init__(self) -> None:
        self.seconds = _CALL_SECONDS
        self._hangs, self._slowest = 0, 0.0

    def learn(self, status: str, seconds: float) -> None:
        if status == "hang":
            self._hangs += 1
        else:
            self._slowest = max(self._slowest, seconds)
        if self._hangs >= self._HANGS:
            self.seconds = min(_CALL_SECONDS, max(self._LEAST, self._TIMES * self._slowest))


def _same(first: Message | None, second: Message | None) -> bool:
    if first is None or second is None:
        return False
    return all(first.get(key) == second.get(key) for key in ("s", "k", "f", "e"))


def _read(root: str, path: str) -> str:
    with open(f"{root}/{path}", encoding="utf-8", newline="") as handle:  # noqa: PTH123
        return handle.read()
