"""Which of several survivors to prefer: the one that a maintainer would most likely have written.

All of them make the failing tests pass. They are ordered by the operator's prior, the size of the edit, how
much it removes, and whether it copies values from the tests.
"""

import re
from collections.abc import Mapping

from assets.executions.engines.protocol import Candidate, Problem
from assets.executions.judging.diff import changed_lines, unified_diff
from assets.executions.tokenizer import identifiers, words

_REMOVES = {"statement:delete": 0.35, "condition:drop": 0.8, "exception:swallow": 0.5, "statement:skip": 0.6}


def naturalness(candidate: Candidate, problem: Problem) -> float:
    """Higher is better; comparable only between survivors of one problem."""
    after = candidate.files(problem.sources)
    before = candidate.before(problem.sources)
    diff = unified_diff(before, after)
    value = (candidate.weight * candidate.priority) ** 0.5
    for part in candidate.operator.split("+"):
        value *= _REMOVES.get(part, 1.0)
    value /= 1.0 + 0.08 * max(0, changed_lines(diff) - 2)
    if candidate.parents:
        value *= 0.6
    value *= _overfit(candidate, problem, before)
    if any(re.fullmatch(r"\+\s*([\w.]+) = \1\s*", line) for line in diff.split("\n")):
        value *= 0.2  # an assignment that does nothing
    added = " ".join(line[1:] for line in diff.split("\n") if line.startswith("+") and not line.startswith("+++"))
    removed = " ".join(line[1:] for line in diff.split("\n") if line.startswith("-") and not line.startswith("---"))
    fresh_names = identifiers_in(added) - identifiers_in(removed)
    value *= 1.0 + 0.15 * min(2, len(fresh_names & identifiers(problem.issue)))
    value *= 1.0 + 0.05 * min(3, len((words(added) - words(removed)) & words(problem.issue)))
    return float(value)


def identifiers_in(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w+", text))


def _overfit(candidate: Candidate, problem: Problem, before: Mapping[str, str | None]) -> float:
    """A factor below 1 when the edit adds a literal that occurs only in the failing tests."""
    tests = "\n".join(problem.test_sources.values())
    factor = 1.0
    for edit in candidate.edits:
        old = before[edit.path] or ""
        for literal in re.findall(
            r"\"[^\"\n]*\"|'[^'\n]*'|(?<![\w)\] ])-?\d+(?:\.\d+)?\b|\b\d+(?:\.\d+)?\b", edit.text
        ):
            if literal in ("0", "1", "2", "-1", '""', "''") or (len(literal) > 2 and literal in old):
                continue
            bare = literal.strip("\"'")
            replaced = old[edit.start : edit.end].strip("\"'")
            if bare in problem.issue and bare not in tests:
                factor *= 0.95
            elif literal[:1] in "\"'" and not replaced:
                factor *= 0.2  # a string that occurs nowhere
            elif bare in tests:
                factor *= 0.5 if len(bare) < 4 else 0.35
    return factor
