"""Tries many candidates of Go with one compilation, in a session of a `NativeWorker`."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.environments.languages.go_programs import Selected, compile_tests, run_tests_with, selected
from sandbox.environments.languages.prepare import LanguageEnvironment
from sandbox.protocol import Limits, Session

from .go_batch import VARIABLE, compose, failing, parts_of

_COMPILATIONS = 4
Put = Callable[[str, bytes | None], None]
"""Writes a file into the session, or (None) deletes it."""
Trial = dict[str, Any]


def try_together(
    environment: LanguageEnvironment,
    session: Session,
    limits: Limits,
    put: Put,
    before: Mapping[str, str],
    candidates: Sequence[Mapping[str, str | None]],
    targets: Sequence[str],
    each: float,
    seconds: float,
) -> list[Trial | None]:
    """What becomes of candidates, given as new texts by path: as `NativeWorker`'s trials, None for one that must be
    tried by itself. `before` are the texts that they change; `each` is the time for one run of the targets."""
    trials: list[Trial | None] = [None] * len(candidates)
    until = time.monotonic() + seconds
    chosen = selected(environment, targets)
    parts = parts_of(before, candidates)
    if chosen is None or len(parts) < 2:
        return trials
    left_out: set[int] = set()
    written: set[str] = set()
    try:
        for _ in range(_COMPILATIONS):
            batch = compose(before, parts, left_out)
            if not batch.lines or time.monotonic() >= until:
                return trials
            for path in written - set(batch.files):
                put(path, before[path].encode() if path in before else None)
            for path, text in batch.files.items():
                put(path, text.encode())
            written = set(batch.files)
            said = compile_tests(session, limits, chosen, until - time.monotonic())
            if said is None:
                break
            bad = failing(batch, said, chosen.module)
            for number in bad:
                trials[number] = {"s": "compile", "p": [], "g": said[:200], "t": "", "m": ""}
            if not bad:
                return trials
            left_out |= bad
        else:
            return trials
        left = until - time.monotonic()
        if left > 0:
            runs = run_tests_with(session, limits, chosen, VARIABLE, [str(n) for n in batch.lines], each, left)
            for value, run in runs.items():
                trials[int(value)] = _judged(chosen, run.outcomes, run.ended, run.said)
    finally:
        for path in written:
            put(path, before[path].encode() if path in before else None)
    return trials


def _judged(chosen: Selected, outcomes: Mapping[str, str], ended: bool, said: str) -> Trial:
    passed = [number for number, name in enumerate(chosen.names) if outcomes.get(name) == "PASS"]
    if ended and len(passed) == len(chosen.names):
        return {"s": "pass", "p": passed}
    return {"s": "fail" if outcomes else "hang", "p": passed, "g": said[:400], "t": "", "m": ""}
