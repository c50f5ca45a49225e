"""One task through all stages in one process, to the branch that is left."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from assets.executions.engines.protocol import Candidate, Problem
from assets.results.report import AttemptRecord, render
from core.git import Repository
from core.settings import Settings
from core.work import Budget, TaskText, VerdictKind
from dagster_project import pipeline
from dagster_project.cli.solve import _publish
from tests.assets.executions.conftest import GIT, real_sandbox, write_files
from tests.assets.executions.scripted_engine import ScriptedEngine, replacing
from tests.assets.executions.test_acceptance import BAD, GOOD, PAGES, SKIPPING


def test_a_patch_that_the_gate_rejects_is_skipped_and_the_next_good_one_is_published(tmp_path: Path) -> None:
    repository = tmp_path / "shop"
    repository.mkdir()
    write_files(repository, {"mod.py": PAGES, "test_mod.py": SKIPPING})
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
        subprocess.run(["git", *command], cwd=repository, env=GIT, check=True)

    def script(problem: Problem) -> Iterator[Candidate]:
        yield replacing(problem, "mod.py", "count // size", BAD, priority=1.0)
        yield replacing(problem, "mod.py", "count // size", GOOD, priority=0.01)

    kinds: list[str] = []
    solution = pipeline.solve(
        pipeline.Request(
            TaskText(title="pages() forgets the last page"), Repository(repository), "shop", Budget(seconds=60)
        ),
        ScriptedEngine(script),
        real_sandbox("bubblewrap"),
        Settings(home=tmp_path / "home", embedding_model="hashing"),
        lambda kind, body: kinds.append(kind),
    )
    assert solution.verdict.verdict is VerdictKind.PASS, solution.execution.summary
    assert solution.context.locations[0].path in ("mod.py", "test_mod.py") and solution.plan.revision > 1
    assert kinds[0] == "retrieve" and kinds.count("verify") == 2 and kinds[-1] == "end"
    assert solution.plan.budget.seconds < 60, "the time to index is part of the budget"

    record = AttemptRecord(
        uuid.UUID(int=7), 1, "Pages", "solve:1", None, solution.context, solution.plan, solution.execution,
        solution.verdict,
    )  # fmt: skip
    branch, refusal = _publish(repository, record, render(record), Settings(home=tmp_path / "home"))
    assert (refusal, branch) == (None, f"penstock/{uuid.UUID(int=7)}")
    shown = subprocess.run(
        ["git", "show", f"{branch}:mod.py"], cwd=repository, env={**os.environ, **GIT}, check=True, capture_output=True
    )
    assert GOOD.encode() in shown.stdout and BAD.encode() not in shown.stdout
