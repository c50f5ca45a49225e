"""Selects the failing tests that the issue is about, when tests fail for several reasons."""

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assets.executions.repository.protected_paths import is_test_path
from assets.executions.tokenizer import identifiers, literals, words
from assets.executions.trial.baseline import Baseline, Failure

_WINDOW = 0.6
"""The issue is about a test whose score is at least this share of the best one."""


@dataclass(frozen=True)
class TargetSet:
    """Failing tests that one patch is to make pass, and why these were selected."""

    tests: tuple[str, ...]
    why: str


def target_sets(root: Path, baseline: Baseline, issue: str) -> list[TargetSet]:
    """The sets to try, at most 8, best first: the tests that the issue is about with all that fail for the same cause,
    those without the others, all failing tests, then one set for each cause. Empty only when no test fails."""
    failing = baseline.failing
    if not failing:
        return []
    if len(failing) == 1:
        return [TargetSet((failing[0],), "It is the only failing test.")]
    groups = _groups(baseline, failing)
    everything = TargetSet(tuple(failing), "Every failing test.")
    if len(groups) == 1:
        return [TargetSet(tuple(failing), "All failing tests fail for the same cause.")]
    scores = {test: score(root, baseline, test, issue) for test in failing}
    best = max(scores.values())
    sets: list[TargetSet] = []
    if best > 0:
        near = [test for test in failing if scores[test] >= _WINDOW * best]
        if len(near) < len(failing):
            sets.append(TargetSet(tuple(near), "The issue is about them."))
            joined = [t for group in groups.values() if set(group) & set(near) for t in group]
            wide = tuple(test for test in failing if test in set(joined))
            if set(wide) != set(near) and len(wide) < len(failing):
                sets.insert(0, TargetSet(wide, "The issue is about them, or they fail for the same cause."))
    sets.append(everything)
    ranked = sorted(groups.values(), key=lambda group: -max(scores[test] for test in group))
    sets.extend(TargetSet(tuple(group), "They fail for the same cause.") for group in ranked)
    unique: dict[frozenset[str], TargetSet] = {}
    for candidate in sets:
        unique.setdefault(frozenset(candidate.tests), candidate)
    return list(unique.values())[:8]


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


def score(root: Path, baseline: Baseline, test: str, issue: str) -> float:
    """How well a failing test matches the issue: words, names and values shared with its id, source and failure."""
    wanted, named = words(issue), identifiers(issue)
    found = baseline.failures.get(test, ())
    failure = " ".join(f"{f.type} {f.message} {f.cause}" for f in found)
    source = test_source(root, test)
    total = 0.0
    total += 3.0 * len(wanted & words(test.split("::", 1)[-1])) + 1.0 * len(wanted & words(test.split("::")[0]))
    total += 1.0 * len(wanted & words(source))
    total += 2.0 * len(wanted & words(failure))
    total += 4.0 * sum(1 for name in named if name in source)
    total += 6.0 * sum(1 for f in found if len(f.type) > 4 and f.type in issue and f.type != "AssertionError")
    values = [v for v in literals(issue) if not isinstance(v, int) or abs(v) > 2]
    total += 2.0 * sum(1 for value in values if repr(value) in source or str(value) in failure)
    functions = {frame[2] for f in found for frame in f.frames if not is_test_path(frame[0])}
    total += 4.0 * len(functions & named)
    return total


def test_source(root: Path, test: str) -> str:
    """The text of a test's function, found by its id without importing anything; empty when not found."""
    path, *names = test.split("::")
    file = root / path
    if not file.is_file() or file.stat().st_size > 1 << 20:
        return ""
    try:
        text = file.read_text()
        tree: ast.AST = ast.parse(text)
    except (UnicodeDecodeError, SyntaxError, ValueError, RecursionError):
        return ""
    node = tree
    for name in names:
        plain = name.split("[", 1)[0]
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and child.name == plain:
                node = child
                break
        else:
            return ""
    return (ast.get_source_segment(text, node) or "") if names else ""


test_source.__test__ = False  # type: ignore[attr-defined]
