"""Solves one task in this process without servers, in the same stages as the platform's assets.

Used by `penstock solve` and the evals. Not for storing or publishing results.
"""

import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from assets.context.ranking.rank import build_task_context, rank
from assets.context.store.memory import MemoryIndex
from assets.executions.attempt.execute import execute
from assets.executions.attempt.state import AttemptInput, Callbacks, Record, quiet
from assets.executions.engines.protocol import Engine
from assets.executions.judging.gate import judge
from assets.executions.repository.checkout import open_checkout
from assets.executions.repository.environment import environment_options
from assets.plans.planner import make_plan
from core.embedding import open_embedder
from core.git import Repository
from core.settings import Settings
from core.work import Budget, Execution, Plan, TaskContext, TaskText, Verdict
from sandbox.protocol import Sandbox


@dataclass(frozen=True)
class Request:
    """A task on `HEAD` of a repository. `source` is the repository's name in reports. The budget's seconds include
    indexing. `test_command` overrides the repository's setting."""

    task: TaskText
    repository: Repository
    source: str
    budget: Budget
    test_command: str | None = None


@dataclass(frozen=True)
class Solution:
    """The result of each stage; `plan` is its latest revision."""

    context: TaskContext
    plan: Plan
    execution: Execution
    verdict: Verdict


def solve(
    request: Request,
    engine: Engine,
    sandbox: Sandbox,
    settings: Settings,
    record: Record = quiet,
) -> Solution:
    """Runs indexing, context, plan, execution and gate. `record(kind, body)` is called before each action.

    Raises `GitError`, `RepositorySettingsError`, `EmbedderUnavailable`, `SandboxUnavailable` and `ChatUnavailable`.
    """
    began = time.monotonic()
    task, repository = request.task, request.repository
    record("retrieve", {"source": request.source, "title": task.title[:200]})
    embedder = open_embedder(settings.embedding_model, settings.models_folder)
    index = MemoryIndex.build(repository, "HEAD", [embedder], source=request.source)
    context = build_task_context(index, task.text)
    places = [f"{place.path}:{place.start_line} {place.symbol}" for place in context.locations[:5]]
    record("observed", {"commit": context.commit, "places": places})
    left = max(1.0, request.budget.seconds - (time.monotonic() - began))
    plans = [make_plan(task.title, context, request.budget.model_copy(update={"seconds": left}), engine=engine.name)]
    with tempfile.TemporaryDirectory(prefix="penstock-solve-") as scratch:
        checkout = open_checkout(repository.path, context.commit, Path(scratch) / "checkout")
        search = partial(rank, index)
        environments = environment_options(settings, str(repository.path), checkout)
        given = AttemptInput(task, context, plans[0], checkout, request.test_command, search, environments)

        def revise(plan: Plan) -> None:
            plans.append(plan)
            body = {"revision": plan.revision, "reason": plan.reason, "changes": list(plan.changes)}
            record("plan", {**body, "cause": plan.cause.model_dump() if plan.cause else None})

        execution = execute(given, engine, sandbox, Callbacks(record, revise))
    return Solution(context, plans[-1], execution, judge(execution.evidence, execution.patch))
