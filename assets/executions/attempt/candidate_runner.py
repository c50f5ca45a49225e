"""Tries candidates in the worker: edits of functions and plain assignments in place, others by a fresh import."""

import ast
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assets.executions.attempt.in_place import function_around, parts_in_place
from assets.executions.engines.protocol import Candidate, Observation
from assets.executions.engines.search.source import SourceFile
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.worker_client import Worker, WorkerDied
from core.source_encoding import encode
from core.work import Outcome

_COVERING_SECONDS = 1.5
_COVERING_TESTS = 60
MIN_CPU = 0.12
HUNG_CPU = 0.04
"""CPU seconds for a target that hangs without a patch: most candidates hang too and must be cut off soon."""
_QUICK_SECONDS = 0.005
"""CPU seconds of the slowest target, below which trials are quick."""
FRESH_EFFORT = 40
"""A trial by a fresh import takes about as long as this many in place. A count, not a time: which candidates are tried
shall not depend on the machine's load."""
FRESH_SHARE = 0.4
"""Effort for fresh imports, per candidate tried in place."""
SECOND_EFFORT = 250
"""A second trial, with more time, of a candidate that hung takes about as long as this many in place."""
_SECOND_BATCH = 10
SECOND_SHARE = 0.3
"""Effort for second trials, per candidate tried in place."""


@dataclass
class CandidateRunner:
    """Tries candidates on target tests, in one worker that has collected the suite."""

    worker: Worker
    baseline: Baseline
    sources: Mapping[str, SourceFile]
    deliberate: bool = False
    """Every candidate is tried by a fresh import, and the message of its first failure is returned."""
    targets: tuple[str, ...] = ()
    leaky: bool = False
    """A candidate left traces in the process, so each later one gets a process of its own."""
    waiting: list[Candidate] = field(default_factory=list)
    """Candidates that need a fresh import, which is so slow that it only gets a share of the time."""
    suspended: list[Candidate] = field(default_factory=list)
    """Candidates that hung in a short time, as most that are wrong in a loop do; they get more time in a second trial,
    for which there is a share of the time too."""
    quick: bool = False
    """Whether the targets take so little that much can be tried before anybody looks at the results."""
    in_place: int = 0
    fresh: int = 0
    second: int = 0
    """How many candidates were tried in place, by a fresh import, and a second time."""
    _covering: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._passing = {t for t, o in self.baseline.run.outcomes.items() if o is Outcome.PASSED}
        self._tests_at: dict[tuple[str, int], list[str]] | None = None

    @property
    def effort(self) -> int:
        """What was tried so far, in trials in place."""
        return self.in_place + FRESH_EFFORT * self.fresh + SECOND_EFFORT * self.second

    @property
    def later(self) -> list[Candidate]:
        """Candidates that wait for a fresh import or a second trial."""
        return [*self.waiting, *self.suspended]

    def set_targets(self, targets: tuple[str, ...]) -> None:
        """Sets the failing tests that candidates must make pass."""
        self.targets = targets
        seconds = self.baseline.seconds
        hung = {t for t in targets if any(f.type == "Hang" for f in self.baseline.failures.get(t, ())[:1])}
        # How long a hung test takes once it is repaired is unknown: the tests that pass give an estimate.
        passing = sorted(s for t, s in seconds.items() if t in self._passing) if hung else []
        usual = passing[len(passing) // 2] if passing else 0.0
        slowest = max((seconds.get(t, 0.0) for t in targets if t not in hung), default=0.0)
        self.cpu = max(HUNG_CPU if hung else MIN_CPU, 12 * slowest, 12 * usual)
        self._only_fresh = self.deliberate or any(t in self.baseline.uncollected for t in targets)

    def try_all(self, candidates: list[Candidate], seconds: float) -> list[Observation]:
        """Observations of what was tried within `seconds`: deliberate candidates, then the others if none of these
        passed."""
        until = time.monotonic() + seconds
        deliberate = [candidate for candidate in candidates if candidate.deliberate]
        observations: list[Observation] = []
        while len(observations) < len(deliberate) and time.monotonic() < until:
            observations.append(self._fresh(deliberate[len(observations)], until - time.monotonic()))
            self.fresh += 1
        others = [candidate for candidate in candidates if not candidate.deliberate]
        if deliberate and (not others or any(o.status == "pass" for o in observations)):
            return observations
        return observations + self._try_all(others, until)

    def _try_all(self, candidates: list[Candidate], until: float) -> list[Observation]:
        """Trials in place first. Candidates that need a fresh import may wait for a later call; a call without
        candidates spends all its time on waiting ones."""
        seconds = until - time.monotonic()
        in_place: list[tuple[int, list[dict[str, object]]]] = []
        results: dict[int, Observation] = {}
        fresh: list[int] = []
        for number, candidate in enumerate(candidates):
            parts = None if self._only_fresh else parts_in_place(candidate, self.sources)
            if parts is None:
                fresh.append(number)
            else:
                in_place.append((number, parts))
        for place, trial in self._try_in_place([(candidates[n], parts) for n, parts in in_place], seconds):
            number = in_place[place][0]
            if trial["s"] == "fresh":
                fresh.append(number)
                continue
            results[number] = observation_of(candidates[number], trial)
            if trial.get("cut"):
                self.suspended.append(candidates[number])
        self.in_place += len(results)
        self.waiting.extend(candidates[number] for number in fresh)
        self.waiting.sort(key=lambda c: -c.priority)
        observations = [results[number] for number in sorted(results)]
        found = any(o.status == "pass" for o in observations)
        while self.waiting and not found and time.monotonic() < until:
            if candidates and in_place and FRESH_EFFORT * self.fresh > FRESH_SHARE * self.in_place + FRESH_EFFORT:
                break
            observations.append(self._fresh(self.waiting.pop(0), until - time.monotonic()))
            self.fresh += 1
            found = observations[-1].status == "pass"
        if not found:
            observations += self._try_again(until, all_of_them=not candidates)
        return observations

    def _try_again(self, until: float, *, all_of_them: bool) -> list[Observation]:
        """Second trials of the likeliest candidates that hung, within their share; observations of those that did not
        hang again."""
        self.suspended.sort(key=lambda c: -c.priority)
        affordable = int(SECOND_SHARE * self.in_place / SECOND_EFFORT) - self.second
        chosen = self.suspended[:_SECOND_BATCH] if all_of_them else self.suspended[: max(0, affordable)]
        left = until - time.monotonic()
        if not chosen or left <= 0:
            return []
        del self.suspended[: len(chosen)]
        payload = [
            (candidate, parts) for candidate in chosen if (parts := parts_in_place(candidate, self.sources)) is not None
        ]
        self.second += len(chosen)
        trials = self._try_in_place(payload, left, patient=True)
        reached = {n for n, _ in trials}
        self.suspended += [candidate for n, (candidate, _) in enumerate(payload) if n not in reached]
        return [observation_of(payload[n][0], trial) for n, trial in trials if trial["s"] not in ("hang", "fresh")]

    def _try_in_place(
        self, chosen: list[tuple[Candidate, list[dict[str, object]]]], seconds: float, *, patient: bool = False
    ) -> list[tuple[int, dict[str, Any]]]:
        """The trials of those that were reached, by their numbers."""
        if not chosen:
            return []
        answer = self.worker.ask(
            "try",
            seconds + 10,
            candidates=[self._payload(candidate, parts) for candidate, parts in chosen],
            targets=list(self.targets),
            cpu=self.cpu,
            seconds=seconds,
            alone=self.leaky,
            full=8 if sum(self.baseline.seconds.get(t, 0.0) for t in self.targets) < 0.05 else 3,
            patient=patient,
        )
        self.leaky = self.leaky or bool(answer.get("leaky"))
        if isinstance(took := answer.get("took"), float | int):
            self.quick = took < _QUICK_SECONDS
        return [(n, t) for n, t in enumerate(answer["trials"]) if t is not None and n < len(chosen)]

    def try_one(self, candidate: Candidate, seconds: float) -> Observation:
        """What becomes of one candidate within `seconds`; those that wait are left waiting. Raises `WorkerDied`."""
        waiting, self.waiting = self.waiting, []
        suspended, self.suspended = self.suspended, []
        try:
            found = self.try_all([candidate], seconds)
            return found[-1] if found else Observation(candidate, "hang")
        finally:
            self.waiting, self.suspended = waiting, suspended

    def _payload(self, candidate: Candidate, parts: list[dict[str, object]]) -> dict[str, object]:
        covering = self._covering_tests(candidate)
        payload: dict[str, object] = {"parts": parts, "covering": covering}
        if self.baseline.spawned and not self.baseline.spawned.isdisjoint((*self.targets, *covering)):
            # Processes that tests start read the files, not this process's functions.
            with contextlib.suppress(ValueError):
                payload["files"] = as_bytes(candidate.files(self.sources))
        return payload

    def _covering_tests(self, candidate: Candidate) -> list[str]:
        """Tests that pass without the patch and execute the edited functions, fastest first, bounded in total time."""
        chosen: dict[str, None] = {}
        for edit in candidate.edits:
            source = self.sources[edit.path]
            place = function_around(source, edit)
            first, last = (1, source.lines) if place is None else (place[0].lineno, place[0].end_lineno or 1)
            key = (edit.path, first)
            if key not in self._covering:
                self._covering[key] = self._tests_in(edit.path, first, last)
            chosen.update(dict.fromkeys(self._covering[key]))
        return list(chosen)

    def _tests_in(self, path: str, first: int, last: int) -> list[str]:
        if self._tests_at is None:
            self._tests_at = {}
            for test, hits in self.baseline.hits.items():
                if test in self._passing and test not in self.baseline.flaky:
                    for place in hits:
                        self._tests_at.setdefault(self.baseline.places[place], []).append(test)
        found: set[str] = set()
        for line in range(first, last + 1):
            found.update(self._tests_at.get((path, line), ()))
        ordered = sorted(found, key=lambda t: (self.baseline.seconds.get(t, 0.0), t))
        kept: list[str] = []
        spent = 0.0
        for test in ordered[:_COVERING_TESTS]:
            spent += self.baseline.seconds.get(test, 0.0)
            if spent > _COVERING_SECONDS:
                break
            kept.append(test)
        return kept

    def _fresh(self, candidate: Candidate, seconds: float) -> Observation:
        try:
            files = candidate.files(self.sources)
        except ValueError:
            return Observation(candidate, "compile")
        for path, text in files.items():
            if text is None or not path.endswith(".py"):
                continue
            try:
                ast.parse(text.removeprefix("\ufeff"))
                encode(path, text)
            except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
                return Observation(candidate, "compile")
        select = sorted({t.split("::")[0] for t in self.targets if "::" in t or t.endswith(".py")})
        if any(t == "collection" or t.endswith("conftest.py") for t in self.targets):
            select = []
        limit = min(seconds, 5 * self.cpu * len(self.targets) + 5 + 3 * self.worker.overhead)
        try:
            answer = self.worker.ask(
                "fresh",
                limit + 10,
                files=as_bytes(files),
                targets=list(self.targets),
                select=select,
                cpu=max(self.cpu, 0.5),
                seconds=limit,
                full=3,
                say=self.deliberate or candidate.deliberate,
            )
        except WorkerDied as died:
            return Observation(candidate, "crash", signature=str(died)[:200])
        return observation_of(candidate, answer["trial"])


def as_bytes(files: Mapping[str, str | None]) -> dict[str, str | None]:
    """Contents as the worker expects them: each byte as the character of that number. Raises `ValueError`."""
    return {p: None if text is None else encode(p, text).decode("latin-1") for p, text in files.items()}


def observation_of(candidate: Candidate, trial: dict[str, object]) -> Observation:
    passed = trial.get("p")
    return Observation(
        candidate,
        str(trial["s"]),
        tuple(int(i) for i in passed) if isinstance(passed, list) else (),
        str(trial.get("g", "")),
        str(trial.get("t", "")),
        str(trial.get("m") or "")[:4000],
    )
