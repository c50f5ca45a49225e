"""Selects the failing tests that represent the task. Those that do not are never targets."""

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assets.executions.repository.protected_paths import is_test_path
from assets.executions.repository.test_command import number_of_tests
from assets.executions.repository.test_text import test_text
from assets.executions.trial.baseline import Baseline, Failure
from assets.executions.trial.relation.measure import NAMED, THRESHOLD, Companions, TaskMeasure
from assets.executions.trial.relation.observed import Observed
from core.work import Relation, TaskText

MOST_MEASURED = 400
"""Failing tests that are measured against the task."""


@dataclass(frozen=True)
class TargetSet:
    """Failing tests that one patch is to make pass, why these were selected, and how far they represent the task."""

    tests: tuple[str, ...]
    why: str
    relation: Relation | None = None


class Targets:
    """The failing tests of a repository, each measured against a task."""

    def __init__(self, root: Path, baseline: Baseline, task: TaskText) -> None:
        self._baseline = baseline
        failing = baseline.failing
        self.relations: dict[str, Relation] = {}
        self._companions: Companions | None = None
        if failing:
            observed = Observed(root, baseline)
            measure = TaskMeasure(task, observed.corpus)
            facts = [observed.facts(test) for test in failing[:MOST_MEASURED]]
            self.relations, self._companions = measure.measured(facts)

    @property
    def related(self) -> list[str]:
        """The failing tests that represent the task, in the order of the suite."""
        return [test for test, relation in self.relations.items() if relation.related]

    def sets(self) -> list[TargetSet]:
        """The sets to try, best first: the tests that represent the task with those that fail for the same cause, then
        without those. A patch must make all tests pass that represent the task, so both sets hold all of these, and the
        tests without which the best of these would share less with the task than it takes. A last set leaves those out
        and has only the relation that remains. Empty when no failing test represents the task."""
        related = self.related
        if not related:
            return []
        strongest = max((self.relations[test] for test in related), key=lambda relation: relation.score)
        failing = self._baseline.failing
        joined = self._companions
        if joined is not None and strongest is not self.relations[joined.test]:
            joined = None
        together = [test for test in failing if test in related or (joined is not None and test in joined.others)]
        groups = _groups(self._baseline, failing)
        wide = [test for group in groups.values() if set(group) & set(together) for test in group]
        wide = [test for test in failing if test in wide]
        why = "The task is about it." if len(together) == 1 else "The task is about them."
        sets = [TargetSet(tuple(together), why, strongest)]
        if len(wide) > len(together):
            more = "The task is about them, or they fail for the same cause as one that it is about."
            sets.insert(0, TargetSet(tuple(wide), more, strongest))
        if joined is not None and joined.alone.related and len(together) > len(related):
            sets.append(TargetSet(tuple(related), "The task is about a part of them.", joined.alone))
        return sets

    def question(self) -> str:
        """What to ask a person when no failing test represents the task: which tests fail, why they do not seem to be
        about the task, and what to add."""
        failing = self._baseline.failing
        shown = []
        for test in failing[:3]:
            failures = self._baseline.failures.get(test, ())
            shown.append(f"{test} ({failures[0].short[:160]})" if failures else test)
        more = f" and {len(failing) - 3} more" if len(failing) > 3 else ""
        nearest = max(self.relations.values(), key=lambda relation: relation.score, default=None)
        common = "; ".join(nearest.shared[:3]) if nearest is not None else ""
        they = "It does" if len(failing) == 1 else "They do"
        why = f"too little in common with it ({common})" if common else "nothing in common with it"
        return (
            f"Is the task about a test that fails? {number_of_tests(failing)} {_fails(failing)} on the unchanged "
            f"commit: {'; '.join(shown)}{more}. {they} not seem to be about this task: there is {why}. Nothing was "
            f"changed. Add a test that fails because of the problem, or a sentence to the task that names the failing "
            f"test that is meant."
        )


def _fails(tests: list[str]) -> str:
    return "fails" if len(tests) == 1 else "fail"


def made_targets(baseline: Baseline, shared: str, file: str) -> TargetSet:
    """The failing tests in `file`, which was made for the task: from its text, or from the command that it gave."""
    relation = Relation(related=True, score=NAMED * THRESHOLD, threshold=THRESHOLD, shared=(shared,))
    tests = tuple(test for test in baseline.failing if test.startswith(f"{file}::"))
    return TargetSet(tests, f"{shared[0].upper()}{shared[1:]}.", relation)


def _groups(baseline: Baseline, failing: list[str]) -> Mapping[tuple[str, str], list[str]]:
    """Failing tests by cause: the type of the failure and the innermost function of the program on the stack, else the
    program's file of which the test executes most."""
    groups: dict[tuple[str, str], list[str]] = {}
    for test in failing:
        failure = (baseline.failures.get(test) or (Failure("", ""),))[0]
        groups.setdefault(_cause(baseline, test, failure), []).append(test)
    return groups


def _cause(baseline: Baseline, test: str, failure: Failure) -> tuple[str, str]:
    program = [frame for frame in failure.frames if not is_test_path(frame[0])]
    if program:
        return program[-1][0], f"{failure.type} in {program[-1][2]}"
    files = Counter(
        baseline.places[n][0] for n in baseline.hits.get(test, ()) if not is_test_path(baseline.places[n][0])
    )
    return (min(files, key=lambda path: (-files[path], path)) if files else test.split("::")[0]), failure.type


def test_source(root: Path, test: str, made: Mapping[str, str] | None = None) -> str:
    """The text of a test's function, found by its id without importing anything; empty when not found. `made` are the
    texts of test files that are not in the checkout."""
    path, *names = test.partition("[")[0].split("::")
    file = root / path
    if path not in (made or {}) and (not file.is_file() or file.stat().st_size > 1 << 20):
        return ""
    try:
        if not path.endswith(".py"):
            return test_text(file.read_text(errors="replace"), test.partition("::")[2])
        text = made[path] if made and path in made else file.read_text()
        tree: ast.AST = ast.parse(text)
    except (UnicodeDecodeError, SyntaxError, ValueError, RecursionError):
        return ""
    node = tree
    for name in names:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and child.name == name:
                node = child
                break
        else:
            return ""
    return (ast.get_source_segment(text, node) or "") if names else ""


test_source.__test__ = False  # type: ignore[attr-defined]
