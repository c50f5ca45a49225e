"""Subjects that evals can run, put together from the stages, and how a command line names them.

`search:seconds=60` is the repair engine within 60 seconds; `model:model=NAME` a chat model with its tools;
`retrieval:model=hashing` finds files with an embedding model; `scripted:skill=0.8` is the synthetic subject.
Here, and not with the evals, because a subject joins stages that do not know each other.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.evals.runs.scripted import Quality, ScriptedSubject
from assets.evals.runs.subject import (
    Attempt,
    CaseOutcome,
    CaseResult,
    InfrastructureFailure,
    Subject,
    SubjectCannotStart,
)
from core.work import Budget, TaskText

if TYPE_CHECKING:
    from assets.evals.sets.repair import RepairCase
    from core.work import Execution
    from sandbox.protocol import Sandbox


class UnknownSubject(ValueError):
    """The text names no subject, or an option that it does not have."""


class RepairSubject:
    """The platform's own way from an issue to a patch, with one engine and one budget, as `penstock solve` goes it."""

    kinds: tuple[str, ...] = ("repair", "released")

    def __init__(
        self, *, engine: str = "search", seconds: float = 60.0, candidates: int = 20_000, operators: str = ""
    ) -> None:
        from assets.executions.attempt.execute import ENGINES

        if engine not in ENGINES:
            raise UnknownSubject(f"there is no engine {engine!r}; known: {', '.join(sorted(ENGINES))}")
        if not 1 <= seconds <= 86_400 or candidates < 1:
            raise UnknownSubject("seconds lie between 1 and 86400, candidates above 0")
        self.engine, self.seconds, self.candidates = engine, seconds, candidates
        self.operators = _families(operators) if operators else None
        self.name = f"{engine}-{seconds:g}s" + (f"-{candidates}" if candidates != 20_000 else "")
        if operators:
            self.name += f"-{operators.replace('-', 'without-').replace('+', '.')}"
        self._sandbox: Sandbox | None = None

    def identity(self) -> dict[str, str]:
        from core.settings import load_settings

        settings = load_settings()
        return {
            "engine": self.engine,
            "budget_seconds": f"{self.seconds:g}",
            "budget_candidates": str(self.candidates),
            **({} if self.operators is None else {"operators": " ".join(self.operators)}),
            **embedding_identity(settings.embedding_model),
            "sandbox": self._open().name,
        }

    def _open(self) -> "Sandbox":
        from core.settings import load_settings
        from sandbox import open_sandbox
        from sandbox.protocol import SandboxUnavailable

        if self._sandbox is None:
            try:
                self._sandbox = open_sandbox(load_settings().sandbox)
            except SandboxUnavailable as error:
                raise SubjectCannotStart(str(error)) from error
        return self._sandbox

    def start(self) -> None:
        self._open()

    def solve(self, attempt: Attempt) -> CaseResult:
        from assets.evals.harvest.releases import ReleaseUnavailable
        from assets.evals.sets.released import as_repair
        from assets.evals.sets.repair import RepairSetError

        try:
            with as_repair(attempt.case.payload) as case:
                return self._solve(case, attempt)
        except (ReleaseUnavailable, RepairSetError) as error:
            raise InfrastructureFailure(str(error)) from error

    def _solve(self, case: "RepairCase", attempt: Attempt) -> CaseResult:
        from assets.evals.sets.repair import checkout, judge_patch
        from assets.executions.judging.diff import changed_lines
        from assets.executions.judging.gate import judge as gate
        from core.chat.protocol import ChatUnavailable
        from core.embedding.protocol import EmbedderUnavailable
        from sandbox.protocol import SandboxUnavailable

        sandbox = self._open()
        attempt.folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            with checkout(case) as root:
                execution = self._execute(case, root, sandbox, attempt)
            seconds = time.monotonic() - began
            verdict = gate(execution.evidence, execution.patch)
            if execution.evidence.before is None:
                raise InfrastructureFailure(f"the suite could not be run: {execution.summary}")
            metrics = {"seconds": round(seconds, 3), "iterations": float(execution.iterations)}
            if (use := execution.model) is not None:
                metrics |= {"tokens": float(use.prompt_tokens + use.completion_tokens), "cost": use.money}
            if execution.patch is None or verdict.verdict == "fail":
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
        except (SandboxUnavailable, EmbedderUnavailable, ChatUnavailable) as error:
            raise InfrastructureFailure(str(error)) from error
        # A case without a small right answer counts any patch as a mistake, whatever its tests say.
        correct = judged.correct and case.fields.expected == "resolved"
        metrics |= {"code_lines": float(changed_lines(patch)), "wrong_patch": float(not correct)}
        outcome = CaseOutcome.CORRECT if correct else CaseOutcome.WRONG
        return CaseResult(outcome, correct, metrics, execution.summary, "trajectory.jsonl", "patch.diff")

    def _execute(self, case: "RepairCase", root: Path, sandbox: "Sandbox", attempt: Attempt) -> "Execution":
        began = time.monotonic()
        with (attempt.folder / "trajectory.jsonl").open("w", encoding="utf-8") as trajectory:

            def record(kind: str, body: dict[str, Any]) -> None:
                entry = {"seconds": round(time.monotonic() - began, 3), "kind": kind, "body": body}
                trajectory.write(json.dumps(entry, default=str) + "\n")

            budget = Budget(seconds=max(1.0, min(self.seconds, attempt.seconds)), candidates=self.candidates)
            more = self.engine_options(attempt)
            return solve_repair(case, root, sandbox, budget, engine=self.engine, record=record, **more)

    def engine_options(self, attempt: Attempt) -> dict[str, Any]:
        """What else `execute` is given for this engine."""
        return {"families": self.operators} if self.operators is not None else {}


def _families(text: str) -> tuple[str, ...]:
    """Families of edit operators from `conditions+values`, or all but some from `-guards+calls`."""
    from assets.executions.engines.search.operators import families

    known, named = families(), set(text.removeprefix("-").split("+"))
    if unknown := sorted(named - set(known)):
        raise UnknownSubject(f"there are no operators {', '.join(unknown)!r}; there are {', '.join(known)}")
    return tuple(one for one in known if (one in named) is not text.startswith("-"))


def embedding_identity(model: str) -> dict[str, str]:
    """The versions of what a request's places are found with: the embedding model and how programs are cut.

    Raises `SubjectCannotStart`.
    """
    from assets.context.chunking.chunks import CONFIG
    from core.embedding import open_embedder
    from core.embedding.protocol import EmbedderUnavailable
    from core.settings import load_settings

    try:
        identity = str(open_embedder(model, load_settings().models_folder).identity)
    except (EmbedderUnavailable, ValueError, OSError) as error:
        raise SubjectCannotStart(f"embedding model {model!r}: {error}") from error
    version = hashlib.sha256(f"{CONFIG}\n{identity}".encode()).hexdigest()[:16]
    return {
        "embedding_model": model, "embedding_digest": identity, "model_digest": identity, "index_version": version
    }  # fmt: skip


def solve_repair(
    case: "RepairCase",
    root: Path,
    sandbox: "Sandbox",
    budget: Budget,
    *,
    engine: str,
    record: Callable[[str, dict[str, Any]], None] = lambda kind, body: None,
    **more: Any,
) -> "Execution":
    """From a case's issue to an execution in `root`, a scratch copy of its repository that becomes a git repository.

    The budget's seconds include the time to index; `more` goes to `execute`. Raises `SandboxUnavailable`,
    `EmbedderUnavailable` and `ChatUnavailable`.
    """
    from assets.context.ranking.rank import build_task_context, rank
    from assets.context.store.memory import MemoryIndex
    from assets.executions.attempt.checkout import open_checkout
    from assets.executions.attempt.execute import execute
    from assets.plans.planner import make_plan
    from core.embedding import open_embedder
    from core.git import Repository
    from core.settings import load_settings

    began, settings = time.monotonic(), load_settings()
    with tempfile.TemporaryDirectory(prefix="penstock-eval-") as scratch:
        _commit_all(root)
        repository = Repository(root)
        commit = repository.resolve("HEAD")
        embedder = open_embedder(settings.embedding_model, settings.models_folder)
        index = MemoryIndex.build(repository, commit, [embedder], source=case.id)
        context = build_task_context(index, case.issue)
        left = budget.model_copy(update={"seconds": max(1.0, budget.seconds - (time.monotonic() - began))})
        plan = make_plan(case.title, context, left, engine=engine)
        tree = open_checkout(repository.path, commit, Path(scratch) / "checkout")
        text = TaskText(title=case.title, body=case.body)
        return execute(
            text, plan, context, tree, sandbox,
            engine=engine, record=record, index=lambda query, count: rank(index, query, count), **more,
        )  # fmt: skip


def _commit_all(root: Path) -> None:
    """Makes a folder a repository with one commit, the same each time: neither name nor clock enter its id."""
    from core.git import command

    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _SIGNATURE.items()}
    env = command.environment(extra=who)
    for arguments in (["init", "-q", "--template="], ["add", "--force", "."], ["commit", "-q", "-m", "First commit"]):
        command.run(["-C", str(root), *arguments], purpose="prepare a case", where=root, env=env)


_SIGNATURE = {"NAME": "penstock", "EMAIL": "penstock@localhost", "DATE": "2020-01-01T00:00:00+00:00"}


def _search(options: dict[str, str]) -> Subject:
    seconds, candidates = float(options.pop("seconds", "60")), int(options.pop("candidates", "20000"))
    operators = options.pop("operators", "")
    return RepairSubject(engine="search", seconds=seconds, candidates=candidates, operators=operators)


def _model(options: dict[str, str]) -> Subject:
    from dagster_project.subjects.model import ModelSubject

    if "model" not in options:
        raise UnknownSubject("name the chat model: model:model=NAME")
    steps = int(options.pop("steps")) if "steps" in options else None
    seconds, prompts = float(options.pop("seconds", "60")), options.pop("prompts", None)
    return ModelSubject(options.pop("model"), seconds=seconds, steps=steps, prompts=prompts)


def _scripted(options: dict[str, str]) -> Subject:
    name = options.pop("name", "scripted")
    known = Quality()
    given = {
        key: type(getattr(known, key))(options.pop(key)) for key in vars(known) if key in options
    }  # fmt: skip
    return ScriptedSubject(Quality(**given), name)


def _retrieval(options: dict[str, str]) -> Subject:
    from dagster_project.subjects.retrieval import RetrievalSubject

    return RetrievalSubject(options.pop("model", "wordllama"))


SUBJECTS: dict[str, Callable[[dict[str, str]], Subject]] = {
    "search": _search,
    "model": _model,
    "retrieval": _retrieval,
    "scripted": _scripted,
}


def open_subject(text: str) -> Subject:
    """From `name` or `name:key=value,key=value`. Raises `UnknownSubject`."""
    name, _, rest = text.partition(":")
    if name not in SUBJECTS:
        raise UnknownSubject(f"{name!r} is no subject; there are {', '.join(sorted(SUBJECTS))}")
    options: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key in options:
            raise UnknownSubject(f"{part!r}: write each option of a subject once, as key=value")
        options[key] = value
    try:
        subject = SUBJECTS[name](options)
    except (ValueError, TypeError) as error:
        raise UnknownSubject(f"{text!r}: {error}") from error
    if options:
        raise UnknownSubject(f"{text!r}: {name} has no option {', '.join(sorted(options))}")
    return subject
