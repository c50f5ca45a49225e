"""What an attempt has found so far, as evidence for the gate and as sentences for the report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from assets.executions.engines.protocol import Candidate, Observation
from assets.executions.engines.search.files import EditableFiles
from assets.executions.repository.test_command import number_of_tests
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.targets import TargetSet
from core.work import CandidateCounts, Evidence, Execution, Location, Packages, Patch


@dataclass
class Findings:
    """Filled while the attempt runs; `evidence` can be called at any time."""

    sandbox: str
    engine: str
    files: EditableFiles
    now: Callable[[], float]
    """The seconds of its budget that are used."""
    notes: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    packages: Packages | None = None
    services: tuple[str, ...] = ()
    baseline: Baseline | None = None
    targets: TargetSet | None = None
    reproduction: str = "none"
    chosen: str = ""
    """Why rules chose the engine, as a sentence."""
    derived: dict[str, str] = field(default_factory=dict)
    """Test files from the task's text that are in the patch: the SHA-256 of their text by path."""
    derived_suffices: bool = False
    """Whether the repository's rule lets such a test prove a patch."""
    suspicious: tuple[Location, ...] = ()
    generated: int = 0
    tried: int = 0
    passed_targets: int = 0
    survivors: int = 0
    """Candidates that made the failing tests pass and were not seen to break another test."""
    rejected: int = 0
    """Survivors that were verified and that the gate rejected."""
    drafts: int = 0
    """Survivors that are good for a draft."""
    same: int = 0
    """Survivors that are, without needless edits, a change that was verified before."""
    passed_suite: int = 0
    faults: dict[str, None] = field(default_factory=dict)
    """Errors inside the engine that did not end it."""
    closest: list[tuple[int, str]] = field(default_factory=list)

    def spent(self, step: str, since: float) -> None:
        """Adds the seconds since `since`, a time of `now`, to a step."""
        self.add(step, self.now() - since)

    def add(self, step: str, seconds: float) -> None:
        self.timings[step] = round(self.timings.get(step, 0.0) + seconds, 3)

    @property
    def total(self) -> float:
        """Seconds since the beginning, with those for the environment, which are not the budget's."""
        return round(self.now() + self.timings.get("environment", 0.0), 3)

    def count(self, observations: list[Observation]) -> None:
        """Counts candidates and remembers those that came closest."""
        self.tried += len(observations)
        for observation in observations:
            if observation.status in ("pass", "regress"):
                self.passed_targets += 1
            self.survivors += observation.status == "pass"
            gain = len(observation.passed) + (100 if observation.status == "regress" else 0)
            if gain and observation.status != "pass":
                candidate = observation.candidate
                text = f"{plain(candidate.operator)} at {candidate.path}:{candidate.line}"
                if observation.broken:
                    text += f", which breaks {observation.broken}"
                else:
                    text += f", with which {len(observation.passed)} of the failing tests pass"
                self._came_close(gain, text)

    def reject(self, candidate: Candidate, why: str) -> None:
        """Counts a survivor that the gate rejected."""
        self.rejected += 1
        text = f"{plain(candidate.operator)} at {candidate.path}:{candidate.line}, which was verified and rejected"
        self._came_close(1000, f"{text}: {why.rstrip('.')}")

    def _came_close(self, gain: int, text: str) -> None:
        self.closest = sorted([*self.closest, (gain, text)], key=lambda item: -item[0])[:5]

    def evidence(self, **fields: Any) -> Evidence:
        baseline = self.baseline
        fields.setdefault("flaky", baseline.flaky if baseline else ())
        fields.setdefault("before", baseline.run if baseline else None)
        fields.setdefault("environment", baseline.environment if baseline else ())
        notes = [*self.notes, *self.files.notes]
        if self.faults:
            notes.append(f"{len(self.faults)} operators failed, first {next(iter(self.faults))}.")
        others = [p for p in fields.get("changed_paths", ()) if p not in self.files and self.files.refusal(p) is None]
        return Evidence(
            sandbox=self.sandbox,
            packages=self.packages,
            services=self.services,
            reproduction=self.reproduction,
            derived=self.derived,
            derived_suffices=bool(self.derived) and self.derived_suffices,
            target_tests=self.targets.tests if self.targets else (),
            relation=self.targets.relation if self.targets else None,
            allowed_paths=(*self.files.paths, *others),
            candidates=CandidateCounts(
                generated=max(self.tried, self.generated),
                tried=self.tried,
                passed_failing_tests=self.passed_targets,
                passed_whole_suite=self.passed_suite,
            ),
            suspicious=self.suspicious,
            notes=tuple(dict.fromkeys(notes)),
            timings={**self.timings, "total": self.total},
            **fields,
        )

    def ended(
        self, patch: Patch | None, summary: str, evidence: Evidence | None = None, *, question: str = ""
    ) -> Execution:
        """The attempt's result; `evidence` is that of the patch, `question` what the summary asks a person."""
        now = self.evidence()
        if evidence is not None:
            latest = {"candidates": now.candidates, "notes": now.notes, "timings": now.timings}
            now = evidence.model_copy(update=latest)
        return Execution(
            engine=self.engine,
            patch=patch,
            evidence=now,
            summary=summary,
            question=question,
            seconds=self.total,
            chosen=self.chosen,
        )

    def patch_summary(self, candidate: Candidate, *, draft: bool) -> str:
        """The summary when a patch was accepted: where and how the program was changed."""
        tests = self.targets.tests if self.targets else ()
        source = self.files.get(candidate.path)
        symbol = source.symbol_at(candidate.line) if source else ""
        where = f"{candidate.path}:{candidate.line}"
        return (
            f"Changed {f'`{symbol}` ({where})' if symbol else where} ({plain(candidate.operator)}). "
            f"{number_of_tests(tests)} that failed now {'passes' if len(tests) == 1 else 'pass'}, and the rest of the "
            f"suite is no worse. {self._counts(passed=0 if draft else 1, chosen=1)}"
        )

    def no_patch_summary(self, why: str) -> str:
        """The summary when no patch was found: what was tried, where, and what came closest."""
        tests = self.targets.tests if self.targets else ()
        names = dict.fromkeys(place.symbol or place.path for place in self.suspicious[:6])
        where = ", ".join(names) or "nothing, since the failing tests reach no code that may be changed"
        text = (
            f"No patch found: {why}. {number_of_tests(tests)} reproduced the problem ({', '.join(tests[:2])}). "
            f"{self._counts()} Looked at: {where}."
        )
        if self.closest:
            text += f" Closest: {self.closest[0][1]}."
        return text

    def _counts(self, passed: int = 0, chosen: int = 0) -> str:
        """How many candidates were tried, and what became of those that made the failing tests pass. `passed`: those
        that the gate passes, `chosen`: those that are the patch."""
        broke, drafts = self.passed_targets - self.survivors, self.drafts + passed - chosen
        left = self.survivors - self.rejected - self.drafts - self.same - passed
        parts = [
            f"{self.rejected} rejected by the gate" if self.rejected else "",
            f"{drafts} good for a draft only" if drafts > 0 else "",
            f"{self.same} the same change as another" if self.same else "",
            f"{broke} broke other tests when tried" if broke else "",
            f"{left} {'other' if left == 1 else 'others'} not verified" if left > 0 else "",
        ]
        of_these = f" ({', '.join(filter(None, parts))})" if any(parts) else ""
        tried = "1 candidate was" if self.tried == 1 else f"{self.tried:,} candidates were"
        return f"{tried} tried; {self.passed_targets or 'none'} made the failing tests pass{of_these}."


def plain(operator: str) -> str:
    """An operator's name as text: `guard:none` becomes "guard none"."""
    return operator.replace(":", " ").replace("+", " and ").replace("-", " ")


def tally(candidates: list[Candidate]) -> dict[str, int]:
    """Candidates by operator, the most frequent first."""
    counts: dict[str, int] = {}
    for candidate in candidates:
        counts[candidate.operator] = counts.get(candidate.operator, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:8])


def statuses(observations: list[Observation]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for observation in observations:
        counts[observation.status] = counts.get(observation.status, 0) + 1
    return counts
