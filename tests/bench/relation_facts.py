"""What the relation between tasks and tests is measured on: the texts of a case, its failing tests, its other tests.

The suite of each case of `repair` and `released-fixes` runs once in the sandbox; what was seen is stored, so that the
measure can be tried again without running anything. Not for scores (`tests.bench.relation`).
"""

import pickle
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from assets.evals.harvest.releases import ReleaseUnavailable
from assets.evals.sets.released import ReleasedCase, as_repair, load_released
from assets.evals.sets.repair import RepairCase, checkout, load_cases
from assets.evals.sets.set_files import EvalSetError
from assets.executions.repository.test_command import detect
from assets.executions.trial.baseline import Allowance, measure
from assets.executions.trial.relation.facts import TestFacts
from assets.executions.trial.relation.observed import Observed
from assets.executions.trial.worker_client import PytestWorker, WorkerDied
from core.work import TaskText
from sandbox.protocol import Limits, Sandbox, SandboxUnavailable

SETS = Path(__file__).parents[2] / "eval_sets"
SUITE_SECONDS = 60.0


@dataclass(frozen=True)
class Project:
    """One state of a project. `texts` are the issue, and the line of the changelog if there is one, of the problem for
    which the tests `failing` fail; `background` and `functions` are those of `Corpus`."""

    id: str
    kind: str
    """The eval set that the case is of."""
    cluster: str
    texts: tuple[TaskText, ...]
    failing: tuple[TestFacts, ...]
    background: tuple[TestFacts, ...]
    functions: dict[str, str]


def projects(split: str, cache: Path, sandbox: Sandbox) -> Iterator[Project]:
    """The cases of one half of both sets by id, from the cache where they were run before. A case that cannot be run
    is named on stderr and left out."""
    cache.mkdir(parents=True, exist_ok=True)
    cases: list[RepairCase | ReleasedCase] = [
        case for case in load_cases(SETS / "repair", split) if case.fields.language == "python"
    ]
    cases += [case for case in load_released(SETS / "released-fixes") if case.fields.split == split]
    for case in cases:
        stored = cache / f"{case.id}.pickle"
        try:
            if not stored.is_file():
                stored.write_bytes(pickle.dumps(_observe(case, sandbox)))
            project: Project = pickle.loads(stored.read_bytes())  # noqa: S301 - written by this program
        except (ReleaseUnavailable, EvalSetError, SandboxUnavailable, WorkerDied) as error:
            sys.stderr.write(f"{case.id}: left out: {error}\n")
            continue
        if project.failing:
            yield project
        else:
            sys.stderr.write(f"{case.id}: left out: no test of its fix fails\n")


def _observe(case: RepairCase | ReleasedCase, sandbox: Sandbox) -> Project:
    """Runs the suite of a case, for a released fix with the later tests laid over the earlier release."""
    with as_repair(case) as repair, checkout(repair, heldback=isinstance(case, ReleasedCase)) as root:
        argv = repair.fields.heldback if isinstance(case, ReleasedCase) else repair.fields.test
        command = detect(root, shlex.join(argv))
        limits = Limits(wall_seconds=SUITE_SECONDS + 60, cpu_seconds=2 * SUITE_SECONDS + 60)
        with closing(PytestWorker(sandbox, root, command, limits)) as worker:
            baseline = measure(worker, command, Allowance(SUITE_SECONDS, deferred=6.0))
        observed = Observed(root, baseline)
        texts = [repair.issue]
        failing = baseline.failing
        if isinstance(case, ReleasedCase):
            texts += [case.fields.changelog] if case.fields.changelog else []
            failing = [test for test in failing if test in case.fields.fails]
        return Project(
            id=case.id,
            kind="released-fixes" if isinstance(case, ReleasedCase) else "repair",
            cluster=repair.fields.cluster,
            texts=tuple(map(task_of, texts)),
            failing=tuple(observed.facts(test) for test in failing),
            background=tuple(observed.background),
            functions=observed.functions,
        )


def task_of(text: str) -> TaskText:
    """A text whose first line is the title, as a task."""
    title, _, body = text.partition("\n")
    return TaskText(title=title.lstrip("# ").strip(), body=body.strip())
