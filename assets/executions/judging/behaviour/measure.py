"""Runs the measurement of survivors in a worker on the unchanged commit, and parses its answer.

The answer comes from a sandbox that runs the repository's code, so its shape is checked and anything unexpected counts
as not measured.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.executions.judging.verify import Change
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.worker_client import Worker, WorkerDied
from core.work import Outcome

from .spans import blocks, function_lines

VARIATIONS = 220
RELATED = 200
_COVERING_TESTS = 40
_COVERING_SECONDS = 1.5
_DOCUMENTS = 40


@dataclass(frozen=True)
class Result:
    """What a call did: `status` is `value`, `raise`, `hang`, `crash` or `unknown`; `kind` is the type of the value or
    exception; `form` and `effect` identify the value, and what happened to the arguments and was printed."""

    status: str
    kind: str = ""
    form: str = ""
    effect: str = ""
    shown: str = ""
    lines: frozenset[int] = frozenset()
    renamed: str = ""
    """The form of the value with its letters and numbers renamed, as in calls of origin `renamed`."""
    holds: Mapping[str, bool] = field(default_factory=dict)
    """Relations between arguments and result, and whether they hold."""
    arguments: tuple[str, ...] = ()
    """The parameters whose arguments the call changed."""

    def differs(self, other: "Result") -> bool:
        return (self.status, self.form, self.effect) != (other.status, other.form, other.effect)


@dataclass(frozen=True)
class MeasuredCall:
    """One call of a changed function. `origin` is `target` (recorded while a failing test ran), `passing` (while a
    passing test ran), `variation`, `twin` (a variation with another type), or a relation to the call number `base`.
    `how` describes the arguments. Only `steady` calls gave the same result twice."""

    function: int
    origin: str
    how: str
    original: Result
    steady: bool
    base: int = -1
    test: str = ""
    slots: tuple[str, ...] = ()
    """What was varied."""
    unusual: bool = False
    """It has a negative number, and no recorded call has one."""


@dataclass(frozen=True)
class Example:
    """An interactive example in a document; `passed` is None where it was not run."""

    document: str
    line: int
    source: str
    before: bool
    after: bool | None


@dataclass(frozen=True)
class Measured:
    """What was measured for one patch. `results` are those of the calls, None where a call was not run with it; the
    whole is None when the patch could not be applied to the imported program. `unreached` names changed functions that
    no failing test executes."""

    results: tuple[Result | None, ...] | None
    examples: tuple[Example, ...] = ()
    unreached: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """Several patches of one program on the same calls. `notes` say what could not be measured; `lost` why there may
    have been calls that are not among `calls`, empty where none are missing."""

    functions: tuple[str, ...] = ()
    calls: tuple[MeasuredCall, ...] = ()
    patches: tuple[Measured, ...] = ()
    notes: tuple[str, ...] = ()
    lost: str = ""


@dataclass
class _Plan:
    patches: list[dict[str, str | None]] = field(default_factory=list)
    covering: list[str] = field(default_factory=list)
    unreached: list[tuple[str, ...]] = field(default_factory=list)


def measure_patches(
    worker: Worker,
    root: Path,
    changes: Sequence[Change],
    baseline: Baseline,
    targets: tuple[str, ...],
    seconds: float,
) -> Measurement:
    """Measures patches in about `seconds`. The worker's session must hold the unchanged commit, whose files are in
    `root`. Never raises for what the repository does."""
    plan = _plan(root, changes, baseline, targets)
    ended = [t for t in targets if not any(f.type == "Hang" for f in baseline.failures.get(t, ())[:1])]
    slowest = max((baseline.seconds.get(t, 0.0) for t in ended), default=0.0)
    tests = [*targets, *plan.covering]
    select = sorted({t.split("::")[0] for t in tests if "::" in t or t.endswith(".py")})
    try:
        answer = worker.ask(
            "behaviour",
            seconds + 15,
            patches=plan.patches,
            targets=list(targets),
            covering=plan.covering,
            select=select,
            documents=_documents(root),
            variations=VARIATIONS,
            related=RELATED,
            cpu=min(10.0, max(0.2, 12 * slowest)),
            seconds=seconds,
        )
        return _parsed(answer, plan)
    except WorkerDied as died:
        return Measurement(notes=(f"The measurement beyond the tests ended early: {died}.",))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        return Measurement(notes=(f"The measurement beyond the tests gave no usable answer: {error!r}.",))


def _plan(root: Path, changes: Sequence[Change], baseline: Baseline, targets: tuple[str, ...]) -> _Plan:
    plan = _Plan()
    ranges: dict[str, list[tuple[int, int]]] = {}
    hits = {place for target in targets for place in baseline.hits.get(target, ())}
    executed = {baseline.places[place] for place in hits | baseline.imported}
    for change in changes:
        unreached: list[str] = []
        for path, after in change.files.items():
            before = _text(root / path)
            if before is None or after is None or not path.endswith(".py"):
                continue
            for block in blocks(before, after):
                around = function_lines(before, block.old)
                if around is None:
                    continue
                ranges.setdefault(path, []).append(around[1:])
                body = range(around[1] + 1, around[2] + 1)
                if hits and body and not any((path, line) in executed for line in body):
                    unreached.append(f"{around[0]} in {path}")
        plan.patches.append(dict(change.files))
        plan.unreached.append(tuple(dict.fromkeys(unreached)))
    plan.covering = _covering(baseline, ranges)
    return plan


def _covering(baseline: Baseline, ranges: dict[str, list[tuple[int, int]]]) -> list[str]:
    """Tests that pass and execute the changed functions, fastest first, bounded in number and time."""
    places = {
        number
        for number, (path, line) in enumerate(baseline.places)
        if any(first <= line <= last for first, last in ranges.get(path, ()))
    }
    passing = [t for t, o in baseline.run.outcomes.items() if o is Outcome.PASSED and t not in baseline.flaky]
    reaching = [t for t in passing if not places.isdisjoint(baseline.hits.get(t, ()))]
    kept: list[str] = []
    spent = 0.0
    for test in sorted(reaching, key=lambda t: (round(baseline.seconds.get(t, 0.0), 1), t))[:_COVERING_TESTS]:
        spent += baseline.seconds.get(test, 0.0)
        if spent > _COVERING_SECONDS:
            break
        kept.append(test)
    return kept


def _documents(root: Path) -> list[str]:
    """Text files that may hold interactive examples: README files at the root, and those under docs/."""
    found: list[str] = []
    for folder in ("", "docs", "doc"):
        base = root / folder
        if not base.is_dir() or base.is_symlink():
            continue
        for place, inner, names in os.walk(base):
            inner[:] = sorted(n for n in inner if not n.startswith(".")) if folder else []
            for name in sorted(names):
                if name.lower().endswith((".rst", ".md", ".txt")):
                    found.append((Path(place) / name).relative_to(root).as_posix())
            if len(found) >= _DOCUMENTS:
                return found[:_DOCUMENTS]
    return found


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None


def _parsed(answer: dict[str, Any], plan: _Plan) -> Measurement:
    notes = [f"Measurement beyond the tests: {str(n)[:300]}." for n in answer.get("notes", ())][:20]
    calls = tuple(
        MeasuredCall(
            int(c["f"]),
            str(c["o"]),
            str(c["h"])[:300],
            _result(c["r"]),
            bool(c["steady"]),
            int(c["b"]),
            str(c["t"]),
            tuple(str(v) for v in c["v"]),
            bool(c["u"]),
        )
        for c in answer.get("calls", ())
    )
    examples = answer.get("examples", ())
    patches = []
    for number, unreached in enumerate(plan.unreached):
        raw = answer.get("patches", [None] * len(plan.patches))[number]
        results = None
        if raw is not None:
            together = zip(calls, raw, strict=True)
            results = tuple(None if r is None else call.original if r == "same" else _result(r) for call, r in together)
        patches.append(Measured(results, _examples(examples, number) if examples else (), unreached))
    names = tuple(str(n)[:200] for n in answer.get("functions", ()))
    return Measurement(names, calls, tuple(patches), tuple(notes), str(answer.get("lost", ""))[:300])


def _examples(raw: Any, number: int) -> tuple[Example, ...]:
    found = []
    after = raw[number + 1] or [None] * len(raw[0])
    for before_text, after_text in zip(raw[0], after, strict=True):
        if not before_text or "examples" not in before_text:
            continue
        with_patch = {int(line): bool(p) for line, _, p in (after_text or {}).get("examples", ())}
        for line, source, passed in before_text["examples"]:
            found.append(
                Example(
                    str(before_text["name"])[:200],
                    int(line),
                    str(source).strip()[:200],
                    bool(passed),
                    with_patch.get(int(line)),
                )
            )
    return tuple(found)


def _result(raw: Any) -> Result:
    if not raw:
        return Result("unknown")
    return Result(
        str(raw["s"]),
        str(raw.get("k", "")),
        str(raw.get("f", "")),
        str(raw.get("e", "")),
        str(raw.get("r", ""))[:200],
        frozenset(int(n) for n in raw.get("l", ())),
        str(raw.get("n", "")),
        {str(name)[:200]: bool(holds) for name, holds in raw.get("i", {}).items()},
        tuple(str(name)[:200] for name in raw.get("a", ())),
    )
