"""The gate as a subject: given patches go through a real attempt, and its verdict is compared with what is known.

The attempt is that of `penstock solve` with an engine that proposes the case's patches, so the result shows what the
gate lets through and not what a search finds.
"""

import time
from dataclasses import dataclass

from assets.evals.runs.subject import (
    Attempt,
    CaseOutcome,
    CaseResult,
    InfrastructureFailure,
    UnknownSubject,
)
from assets.evals.sets.gate import GateCase, gate_checkout, right_patch
from assets.executions.attempt.state import Record, quiet
from assets.executions.judging.diff import changed_lines
from core.embedding.protocol import EmbedderUnavailable
from core.settings import load_settings
from core.work import Budget, TaskText, VerdictKind
from dagster_project.pipeline import Solution
from dagster_project.subjects.given_patches import GivenPatches
from dagster_project.subjects.repair import record_to, solve_folder
from dagster_project.subjects.sandboxed import Sandboxed
from sandbox.protocol import Sandbox, SandboxUnavailable


@dataclass(frozen=True)
class GateAnswer:
    """What became of a case's patches. `verdict` is `none` when no patch reached the gate; `wrong_pass` means that a
    wrong patch was called proven, `lost_pass` that a right one was not."""

    verdict: str
    wrong_pass: bool
    lost_pass: bool
    reasons: tuple[str, ...]
    summary: str
    patch: str | None
    timings: dict[str, float]

    @property
    def as_expected(self) -> bool:
        return not self.wrong_pass and not self.lost_pass


def answer(case: GateCase, sandbox: Sandbox, seconds: float, record: Record = quiet) -> GateAnswer:
    """Puts a case's patches before the gate, within a budget in seconds. Raises `SandboxUnavailable`,
    `EmbedderUnavailable` and `GitError`."""
    settings = load_settings()
    patches = [case.proposed] if case.rival is None else [case.proposed, case.rival]
    with gate_checkout(case) as root:
        task = TaskText(title=case.title, body=case.body)
        engine = GivenPatches(patches)
        solved = solve_folder(root, task, case.id, engine, sandbox, settings, Budget(seconds=seconds), record)
    execution, verdict = solved.execution, solved.verdict
    kind = str(verdict.verdict) if execution.patch is not None else "none"
    patch = execution.patch.diff if execution.patch is not None else None
    proven = verdict.verdict is VerdictKind.PASS
    trap = case.fields.label == "trap"
    # The rival, or what is left of the patch without needless hunks, may be right.
    other = patch is not None and (case.rival is not None or changed_lines(patch) < changed_lines(case.proposed))
    wrong = proven and trap and not (other and patch is not None and right_patch(case, patch, sandbox))
    return GateAnswer(
        kind, wrong, not proven and not trap, _reasons(solved), execution.summary, patch, execution.evidence.timings
    )


def _reasons(solved: Solution) -> tuple[str, ...]:
    """Why the verdict is not `pass`."""
    verdict = solved.verdict
    return (*(check.detail for check in verdict.checks if not check.passed), *verdict.reasons)


class GateSubject(Sandboxed):
    """Answers each case of a set of kind `gate` with the gate's verdict."""

    kinds: tuple[str, ...] = ("gate",)

    def __init__(self, *, seconds: float = 120.0) -> None:
        if not 1 <= seconds <= 86_400:
            raise UnknownSubject("seconds must be between 1 and 86400")
        self.seconds = seconds
        self.name = f"given-{seconds:g}s"

    def identity(self) -> dict[str, str]:
        return {"engine": "given", "budget_seconds": f"{self.seconds:g}", "sandbox": self._open().name}

    def solve(self, attempt: Attempt) -> CaseResult:
        case: GateCase = attempt.case.payload
        attempt.folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            with record_to(attempt.folder) as record:
                found = answer(case, self._open(), min(self.seconds, attempt.seconds), record)
        except (SandboxUnavailable, EmbedderUnavailable) as error:
            raise InfrastructureFailure(str(error)) from error
        metrics = {
            "seconds": round(time.monotonic() - began, 3),
            "wrong_pass": float(found.wrong_pass),
            "lost_pass": float(found.lost_pass),
        }
        if found.patch is not None:
            (attempt.folder / "patch.diff").write_text(found.patch, encoding="utf-8")
        outcome = CaseOutcome.WRONG if found.wrong_pass else CaseOutcome.CORRECT
        if found.lost_pass:
            outcome = CaseOutcome.UNRESOLVED
        summary = f"{found.verdict}: {' '.join(found.reasons) or found.summary}"
        patch = None if found.patch is None else "patch.diff"
        return CaseResult(outcome, found.as_expected, metrics, summary, "trajectory.jsonl", patch)
