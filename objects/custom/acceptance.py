"""Tries code in the sandbox before it is let out: its own scenarios, and a conformance suite made from its manifest.

The suite asks what the platform's promises need: answers fit their schemas, a repeated step answers alike, only the
state survives a restart, methods that read change nothing, hostile arguments end no process. It judges from outside, by
the protocol, so that code cannot report its own tests as passed.
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from objects.catalogue import CodeRow, spec_of
from objects.custom.workers import Worker
from objects.effects import Effects
from objects.gate import Check, Evidence
from objects.model import (
    MAX_ANSWER_BYTES,
    MAX_STATE_BYTES,
    Address,
    Call,
    Fault,
    Method,
    Refused,
    TypeSpec,
    dump,
)
from objects.scenarios import includes
from objects.schemas import DoesNotFit, check, examples
from sandbox.protocol import Sandbox

NOW = 1_700_000_000.0
MOST_EXAMPLES = 6
_HOSTILE: tuple[Any, ...] = (
    None, True, -1, 2**63, 1e308, "", "x" * 100_000, "\N{RIGHT-TO-LEFT OVERRIDE}'; DROP TABLE objects; --",
    [], [[[[]]]], {"__proto__": {}}, {"": None},
)  # fmt: skip
TOTAL_SECONDS = 120.0
TRIAL_SECONDS = 3.0
"""Longest step while code is tried."""
ENOUGH = 5
"""Failed checks after which no more is tried; the first step that takes too long is enough, too."""


class Trial:
    """A process with the code, and how it is replaced. `deadline` is on the monotonic clock."""

    def __init__(self, sandbox: Sandbox, workspace: Path, code: CodeRow) -> None:
        self.spec: TypeSpec = spec_of(code)
        self._sandbox = sandbox
        self._workspace = workspace
        self._code = code
        self._worker: Worker | None = None
        self._calls = 0
        self.too_slow = False

    def restart(self) -> None:
        """Raises `Fault` if the code cannot be loaded, and `Unavailable`."""
        self.close()
        source = self._code.source
        self._worker = Worker(self._sandbox, self._workspace, source if source.startswith("#!") else None)
        self._worker.load(source)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def step(self, state: Any, name: str, argument: Any, key: str = "trial", identity: str = "") -> tuple[Any, Any]:
        """State and result of a step. Raises `Refused` and `Fault`."""
        method = self.spec.methods.get(name)
        if method is None:
            raise Fault(f"the manifest has no method {name!r}")
        if self._worker is None or self._worker.broken:
            self.restart()
        assert self._worker is not None  # noqa: S101
        self._calls += 1
        identity = identity or f"trial-{self._calls}"
        message = {"method": name, "argument": argument, "id": identity, "now": NOW, "key": key, "caller": "trial"}
        began = time.monotonic()
        try:
            answer = self._worker.ask({"do": "handle", "state": state, "message": message}, TRIAL_SECONDS)
        finally:
            self.too_slow |= time.monotonic() - began >= TRIAL_SECONDS
        if not {"state", "result"} <= set(answer):
            raise Fault("an answer must have a state and a result")
        dump(answer["state"], "the state", MAX_STATE_BYTES)
        dump(answer["result"], "the result", MAX_ANSWER_BYTES)
        try:
            check(answer["result"], method.answer, "result")
        except DoesNotFit as error:
            raise Fault(f"the result does not fit its schema: {error}") from None
        effects = answer.get("effects") or []
        if method.reading and (effects or _text(answer["state"]) != _text(state)):
            raise Fault("a method that only reads has changed the state, or wanted something done")
        call = Call(Address(_NOBODY, self.spec.name, key), name, "{}", identity, "trial", 0.0)
        Effects(call, 1, trusted=False).collect(effects)
        return answer["state"], answer["result"]

    def migrate(self, state: Any, version: int) -> Any:
        if self._worker is None or self._worker.broken:
            self.restart()
        assert self._worker is not None  # noqa: S101
        return self._worker.ask({"do": "migrate", "state": state, "version": version}).get("state")


_NOBODY = uuid.UUID(int=0)


def try_code(sandbox: Sandbox, workspace: Path, code: CodeRow, states: tuple[tuple[Any, int], ...] = ()) -> Evidence:
    """Everything that the gate wants to know. `states` are copies of states of living objects, with the versions of
    their code: `migrate` must take them. Raises `Unavailable`."""
    began = time.monotonic()
    trial = Trial(sandbox, workspace, code)
    checks: list[Check] = []
    try:
        try:
            trial.restart()
            checks.append(Check("load", "the code is loaded", True))
        except Fault as fault:
            return Evidence(code.sha256, sandbox.name, (Check("load", "the code is loaded", False, str(fault)),), 0)
        for one in _all(trial, code, states):
            checks.append(one)
            if trial.too_slow or sum(not one.passed for one in checks) >= ENOUGH:
                break
            if time.monotonic() - began > TOTAL_SECONDS:
                checks.append(Check("load", "it is fast enough", False, f"it took over {TOTAL_SECONDS:.0f} s"))
                break
    finally:
        trial.close()
    return Evidence(code.sha256, sandbox.name, tuple(checks), len(code.scenarios), time.monotonic() - began)


def _all(trial: Trial, code: CodeRow, states: tuple[tuple[Any, int], ...]) -> Iterator[Check]:
    for scenario in code.scenarios:
        yield _scenario(trial, scenario)
    yield from _answers(trial)
    yield from _first_looks(trial)
    yield _restart(trial, code)
    yield from _hostile(trial)
    for number, (state, version) in enumerate(states):
        yield _migrated(trial, state, version, number)


def _scenario(trial: Trial, scenario: Mapping[str, Any]) -> Check:
    name, state = str(scenario["name"])[:100], trial.spec.initial
    for number, step in enumerate(scenario["steps"]):
        try:
            if step.get("restart") is True:
                trial.restart()
                continue
            state = _scenario_step(trial, state, step)
        except (Fault, Refused, _Unexpected) as error:
            what = step.get("call", "restart")
            return Check(
                "scenario", name, False, f"step {number + 1} ({what}): {type(error).__name__.strip('_')}: {error}"
            )
    if "state" in scenario and _text(state) != _text(scenario["state"]):
        return Check("scenario", name, False, f"the state is {_text(state)[:300]}")
    return Check("scenario", name, True)


class _Unexpected(Exception):
    pass


def _scenario_step(trial: Trial, state: Any, step: Mapping[str, Any]) -> Any:
    try:
        after, result = trial.step(state, step["call"], step.get("argument", {}), step.get("key", "trial"))
    except Refused as refused:
        if step.get("refused") == refused.code:
            return state
        raise
    if "refused" in step:
        raise _Unexpected(f"it was not refused, but answered {_text(result)[:200]}")
    if "answer" in step and _text(result) != _text(step["answer"]):
        raise _Unexpected(f"it answered {_text(result)[:300]}")
    if "includes" in step and not includes(result, step["includes"]):
        raise _Unexpected(f"it answered {_text(result)[:300]}")
    return state if after is None else after


def _calls(spec: TypeSpec) -> Iterator[tuple[str, Method, Any]]:
    for name, method in spec.methods.items():
        for argument in examples(method.argument or {"type": "object"})[:MOST_EXAMPLES]:
            with suppress(DoesNotFit):
                check(argument, method.argument)
                yield name, method, argument


def _answers(trial: Trial) -> Iterator[Check]:
    """Each method with arguments that fit its schema, and each step twice from the same state."""
    state = trial.spec.initial
    for name, _, argument in _calls(trial.spec):
        label = f"{name}({_text(argument)[:80]})"
        outcomes = []
        after = state
        for _ in range(2):
            try:
                after, result = trial.step(state, name, argument, identity=f"same-{label}")
                outcomes.append(_text([after, result]))
            except Refused as refused:
                outcomes.append(f"refused {refused.code}")
            except Fault as fault:
                yield Check("answer", label, False, str(fault))
                break
        if len(outcomes) == 2:
            yield Check("answer", label, True)
            same = _shape(outcomes[0]) == _shape(outcomes[1])
            yield Check("repeat", label, same, "" if same else "the same step from the same state ended otherwise")
            state = after if after is not None else state


def _first_looks(trial: Trial) -> Iterator[Check]:
    """Each method that reads, as the first call of a key: it answers from the initial state."""
    tried: set[str] = set()
    for name, method, argument in _calls(trial.spec):
        if not method.reading or name in tried:
            continue
        tried.add(name)
        problem = ""
        try:
            trial.step(trial.spec.initial, name, argument, key="never-called", identity=f"first-{name}")
        except Refused:
            pass
        except Fault as fault:
            problem = str(fault)
        yield Check("reading", f"{name} as the first call of a key", not problem, problem)


def _shape(outcome: str) -> str:
    """What must be equal when a step is repeated: whether and how it was refused. Random parts may differ."""
    return outcome if outcome.startswith("refused") else "answered"


def _restart(trial: Trial, code: CodeRow) -> Check:
    """The same calls in one process, and with a new process before each: only the state may matter."""
    made: list[list[str]] = []
    for restarts in (False, True):
        state, outcomes = trial.spec.initial, []
        trial.restart()
        for number, (name, _, argument) in enumerate(_calls(trial.spec)):
            if number >= 12:
                break
            try:
                if restarts and number % 2:
                    trial.restart()
                after, result = trial.step(state, name, argument, identity=f"restart-{number}")
                state = state if after is None else after
                outcomes.append(_types([state, result]))
            except Refused as refused:
                outcomes.append(f"refused {refused.code}")
            except Fault as fault:
                return Check("restart", "only the state survives a restart", False, f"{name}: {fault}")
        made.append(outcomes)
    different = next((n for n, (a, b) in enumerate(zip(*made, strict=True)) if a != b), None)
    if different is None:
        return Check("restart", "only the state survives a restart", True)
    detail = f"call {different + 1} ended otherwise after a restart: something is kept outside the state"
    return Check("restart", "only the state survives a restart", False, detail)


def _types(value: Any) -> str:
    """A value with its numbers kept, and texts by length: identifiers made at random may differ, counts may not."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_types(part)}" for _, part in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_types, value)) + "]"
    if isinstance(value, str):
        return f"text{len(value)}"
    return json.dumps(value)


def _hostile(trial: Trial) -> Iterator[Check]:
    """Arguments that fit the schema as little as it lets through: none may end the process or break the protocol."""
    for name, method in trial.spec.methods.items():
        tried = 0
        problem = ""
        for argument in (*_HOSTILE, *({"value": one} for one in _HOSTILE)):
            try:
                check(argument, method.argument)
            except DoesNotFit:
                continue  # the platform refuses it before the handler sees it
            tried += 1
            try:
                trial.step(trial.spec.initial, name, argument)
            except Refused:
                continue
            except Fault as fault:
                problem = f"{_text(argument)[:60]}: {fault}"
                break
        yield Check("hostile", name, not problem, problem or f"{tried} arguments reach it")


def _migrated(trial: Trial, state: Any, version: int, number: int) -> Check:
    label = f"a living object's state of version {version} ({number + 1})"
    try:
        after = trial.migrate(state, version)
        dump(after, "the state", MAX_STATE_BYTES)
    except (Fault, Refused) as error:
        return Check("migrate", label, False, str(error))
    reading = next((name for name, method in trial.spec.methods.items() if method.reading), None)
    if reading is not None:
        fitting = [argument for name, _, argument in _calls(trial.spec) if name == reading]
        try:
            if fitting:
                trial.step(after, reading, fitting[0])
        except Refused:
            pass
        except Fault as fault:
            return Check("migrate", label, False, f"{reading} fails after it: {fault}")
    return Check("migrate", label, True)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
