"""A repair engine as a subject: from an issue to a patch with one engine and one budget, as in `penstock solve`."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assets.evals.harvest.releases import ReleaseUnavailable
from assets.evals.runs.subject import (
    Attempt,
    CaseOutcome,
    CaseResult,
    InfrastructureFailure,
    NotRunnable,
    UnknownSubject,
)
from assets.evals.sets.released import as_repair
from assets.evals.sets.repair import RepairCase, checkout, judge_patch
from assets.evals.sets.set_files import EvalSetError
from assets.evals.sets.suite_runs import CaseNotRunnable, why_not_runnable
from assets.executions.attempt.state import Record, quiet
from assets.executions.engines.open_engine import ENGINES, EngineChoice, open_engine
from assets.executions.engines.protocol import Engine
from assets.executions.engines.search.operators import families
from assets.executions.judging.diff import changed_lines
from core.chat.protocol import ChatUnavailable
from core.embedding.protocol import EmbedderUnavailable
from core.git import Repository, command
from core.settings import Settings, load_settings
from core.work import Budget, Execution, TaskText, VerdictKind
from dagster_project import pipeline
from dagster_project.subjects.embedding_identity import embedding_identity
from dagster_project.subjects.sandboxed import Sandboxed
from sandbox.protocol import Sandbox, SandboxUnavailable


class RepairSubject(Sandboxed):
    """Runs the pipeline of `penstock solve` on each case, and judges the patch by the case's hidden tests."""

    kinds: tuple[str, ...] = ("repair", "released")

    def __init__(
        self, *, engine: str = "search", seconds: float = 60.0, candidates: int = 20_000, operators: str = ""
    ) -> None:
        if engine not in ENGINES:
            raise UnknownSubject(f"there is no engine {engine!r}; known: {', '.join(sorted(ENGINES))}")
        if not 1 <= seconds <= 86_400 or candidates < 1:
            raise UnknownSubject("seconds must be between 1 and 86400, candidates at least 1")
        self.engine, self.seconds, self.candidates = engine, seconds, candidates
        self.operators = _families(operators) if operators else None
        self.name = f"{engine}-{seconds:g}s" + (f"-{candidates}" if candidates != 20_000 else "")
        if operators:
            self.name += f"-{operators.replace('-', 'without-').replace('+', '.')}"

    def identity(self) -> dict[str, str]:
        settings = load_settings()
        return {
            "engine": self.engine,
            "budget_seconds": f"{self.seconds:g}",
            "budget_candidates": str(self.candidates),
            **({} if self.operators is None else {"operators": " ".join(self.operators)}),
            **embedding_identity(settings.embedding_model),
            "sandbox": self._open().name,
        }

    def solve(self, attempt: Attempt) -> CaseResult:
        try:
            with as_repair(attempt.case.payload) as case:
                return self._solve(case, attempt)
        except (ReleaseUnavailable, EvalSetError) as error:
            raise InfrastructureFailure(str(error)) from error

    def _solve(self, case: RepairCase, attempt: Attempt) -> CaseResult:
        if (lacking := why_not_runnable(case.fields.language, case.repo)) is not None:
            raise NotRunnable(lacking)
        sandbox = self._open()
        attempt.folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            with checkout(case) as root:
                solution = self._attempt(case, root, sandbox, attempt)
            seconds, execution = time.monotonic() - began, solution.execution
            if execution.evidence.before is None:
                raise InfrastructureFailure(f"the suite could not be run: {execution.summary}")
            if (lost := self.lost(execution)) is not None:
                raise InfrastructureFailure(lost)
            metrics = {"seconds": round(seconds, 3), "iterations": float(execution.iterations)}
            if (use := execution.model) is not None:
                metrics |= {"tokens": float(use.prompt_tokens + use.completion_tokens), "cost": use.money}
            if execution.patch is None or solution.verdict.verdict is VerdictKind.FAIL:
                right = case.fields.expected == "unresolved"
                return CaseResult(
                    CaseOutcome.UNRESOLVED,
                    right,
                    {**metrics, "wrong_patch": 0.0},
                    execution.summary,
                    "trajectory.jsonl",
                )
            patch = execution.patch.diff
            (attempt.folder / "patch.diff").write_text(patch, encoding="utf-8")
            judged = judge_patch(case, patch, sandbox)
        except CaseNotRunnable as error:
            raise NotRunnable(str(error)) from error
        except (SandboxUnavailable, EmbedderUnavailable, ChatUnavailable) as error:
            raise InfrastructureFailure(str(error)) from error
        # For a case without a small correct patch, any patch is wrong, even if the tests pass.
        correct = judged.correct and case.fields.expected == "resolved"
        metrics |= {"code_lines": float(changed_lines(patch)), "wrong_patch": float(not correct)}
        outcome = CaseOutcome.CORRECT if correct else CaseOutcome.WRONG
        return CaseResult(outcome, correct, metrics, execution.summary, "trajectory.jsonl", "patch.diff")

    def _attempt(self, case: RepairCase, root: Path, sandbox: Sandbox, attempt: Attempt) -> pipeline.Solution:
        with record_to(attempt.folder) as record:
            budget = Budget(seconds=max(1.0, min(self.seconds, attempt.seconds)), candidates=self.candidates)
            return solve_case(case, root, self.engine_choice(attempt), sandbox, budget, record)

    def lost(self, execution: Execution) -> str | None:
        """Why an attempt says nothing of the engine, since it lacked what the engine is made of; None if it does."""
        return None

    def engine_choice(self, attempt: Attempt) -> EngineChoice:
        """The engine for one attempt."""
        return EngineChoice(self.engine, families=self.operators)


@contextlib.contextmanager
def record_to(folder: Path) -> Iterator[Record]:
    """A callback that appends each entry of a trajectory to `trajectory.jsonl` in a folder."""
    began = time.monotonic()
    with (folder / "trajectory.jsonl").open("w", encoding="utf-8") as trajectory:

        def record(kind: str, body: dict[str, Any]) -> None:
            entry = {"seconds": round(time.monotonic() - began, 3), "kind": kind, "body": body}
            trajectory.write(json.dumps(entry, default=str) + "\n")

        yield record


def _families(text: str) -> tuple[str, ...]:
    """The families of edit operators that `conditions+values` names, or all except those that `-guards+calls` names."""
    known, named = families(), set(text.removeprefix("-").split("+"))
    if unknown := sorted(named - set(known)):
        raise UnknownSubject(f"unknown operators {', '.join(unknown)!r}; known: {', '.join(known)}")
    return tuple(one for one in known if (one in named) is not text.startswith("-"))


def solve_case(
    case: RepairCase,
    root: Path,
    engine: EngineChoice,
    sandbox: Sandbox,
    budget: Budget,
    record: Record = quiet,
    test_command: str | None = None,
) -> pipeline.Solution:
    """Solves a case in `root`, a scratch copy of its files, which is turned into a git repository.

    Without `test_command`, tests are found by the repository's files, as for any task. The budget's seconds include
    indexing. Raises `SandboxUnavailable`, `EmbedderUnavailable` and `ChatUnavailable`.
    """
    settings = load_settings()
    task = TaskText(title=case.title, body=case.body)
    chosen = open_engine(engine, settings)
    native = case.fields.language != "python"
    return solve_folder(root, task, case.id, chosen, sandbox, settings, budget, record, test_command, native=native)


def solve_folder(
    root: Path,
    task: TaskText,
    source: str,
    engine: Engine,
    sandbox: Sandbox,
    settings: Settings,
    budget: Budget,
    record: Record = quiet,
    test_command: str | None = None,
    *,
    native: bool = False,
) -> pipeline.Solution:
    """Solves a task in `root`, a scratch folder, which is turned into a git repository. `native`: its tests are in
    another language than Python. Raises what `solve_case` raises."""
    _commit_all(root)
    request = pipeline.Request(task, Repository(root), source, budget, test_command)
    # Cases in Python are judged with the packages of Penstock, and a run of evals needs no package index. The packages
    # of other languages are never those of Penstock.
    chosen = settings.model_copy(update={"environments": "own" if native else "shared"})
    return pipeline.solve(request, engine, sandbox, chosen, record)


def _commit_all(root: Path) -> None:
    """Turns a folder into a repository with one commit. Author and date are fixed, so the commit id is reproducible."""
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _SIGNATURE.items()}
    env = command.environment(extra=who)
    for arguments in (["init", "-q", "--template="], ["add", "--force", "."], ["commit", "-q", "-m", "First commit"]):
        command.run(["-C", str(root), *arguments], purpose="prepare a case", where=root, env=env)


_SIGNATURE = {"NAME": "penstock", "EMAIL": "penstock@localhost", "DATE": "2020-01-01T00:00:00+00:00"}
