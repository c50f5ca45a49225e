"""Finds what makes a well-formed set misleading: duplicates, leaks of the fix, answers in the query, missing parts.

`problems` block a run of the set; `remarks` are only shown. Not for checking that a repair case's tests fail before its
fix and pass with it: `repair.check_case` runs them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.statistics.paired import FEWEST_CLUSTERS

from .case_facts import CaseFacts, case_facts
from .eval_set import EvalSet, sealed_versions

CHECKS = {
    "cases_are_distinct": "No two cases are equal, and none are nearly equal in different splits or clusters.",
    "no_fix_in_the_history": "The solver's files contain no git history, no symbolic link, and no fixed file.",
    "no_answer_in_the_query": "No issue quotes its fix or names a held-back test, and no held-back test is visible.",
    "nothing_is_missing": "Every case has all its parts; the set has a card, a licence, an origin and a version.",
}
"""What each check promises, by its name."""

FACTS = {
    "near": ("cases_are_distinct", "nearly the same text as {} in another split or cluster; keep one of them"),
    "link": (
        "no_fix_in_the_history",
        "has a symbolic link ({}), which may lead to files outside the set; replace it by the file",
    ),
    "history": (
        "no_fix_in_the_history",
        "the repository contains git history ({}), in which the fix can be found; remove it",
    ),
    "fix_object": ("no_fix_in_the_history", "{} has the content of the fixed file or of a held-back test; remove it"),
    "quoted_fix": ("no_answer_in_the_query", "the issue quotes a line of the fix ({}); write it in a user's words"),
    "quoted_test": ("no_answer_in_the_query", "the issue names the held-back test {}; write it in a user's words"),
    "shown_test": ("no_answer_in_the_query", "a held-back test is also in the repository ({}); remove it there"),
    "missing": ("nothing_is_missing", "lacks {}"),
}
"""By fact of a case (a field of `CaseFacts`): the check that it breaks, and the message."""


@dataclass(frozen=True)
class SetPart:
    """One thing that a set must have: whether it is present, and the message if not."""

    name: str
    present: bool
    remedy: str


@dataclass(frozen=True)
class CheckedSet:
    """The problems of a set by check, its remarks, and the facts that they come from. Each text names its case."""

    by_check: dict[str, tuple[str, ...]]
    remarks: tuple[str, ...]
    cases: tuple[CaseFacts, ...]
    parts: tuple[SetPart, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(said for check in CHECKS for said in self.by_check[check])


def check_set(found: EvalSet) -> CheckedSet:
    """Checks every case without running anything."""
    cases, parts = tuple(case_facts(found)), tuple(_parts(found))
    said: dict[str, list[str]] = {check: [] for check in CHECKS}
    said["cases_are_distinct"] += _duplicates(cases)
    for case in cases:
        for fact, (check, sentence) in FACTS.items():
            if value := getattr(case, fact):
                said[check].append(f"{case.id}: {sentence.format(value)}")
    said["nothing_is_missing"] += [part.remedy for part in parts if not part.present]
    return CheckedSet({check: tuple(lines) for check, lines in said.items()}, tuple(_remarks(found)), cases, parts)


def _remarks(found: EvalSet) -> list[str]:
    remarks = []
    if len(found.cases) == 1:
        remarks.append("only one case: no comparison can be conclusive")
    elif found.clusters < FEWEST_CLUSTERS:
        remarks.append(f"{found.clusters} clusters: a conclusive comparison needs at least {FEWEST_CLUSTERS}")
    if not any(metric.role == "primary" for metric in found.manifest.metrics):
        remarks.append("no metric has the role primary: set it in set.json for the one that counts most")
    return remarks


def _parts(found: EvalSet) -> list[SetPart]:
    manifest = found.manifest
    card = found.root / "card.md"
    return [
        SetPart(
            "card.md",
            card.is_file() and card.stat().st_size > 0,
            "card.md is missing: describe what the set is, where it comes from and what it cannot show",
        ),
        SetPart("licence", bool(manifest.licence.strip()), "set.json names no licence: state how the set may be used"),
        SetPart("origin", bool(manifest.origin.strip()), "set.json names no origin: state who wrote the cases"),
        SetPart(
            "sealed version",
            # A version that is not sealed yet is still being prepared, and not a problem.
            bool(found.version) and sealed_versions(found.root).get(found.version, found.sha256) == found.sha256,
            f"the content is not that of version {found.version}: raise the version and seal the set",
        ),
    ]


def _duplicates(cases: Sequence[CaseFacts]) -> list[str]:
    by_content: dict[str, list[str]] = {}
    for case in cases:
        by_content.setdefault(case.content, []).append(case.id)
    return [f"{', '.join(ids)} are the same case: keep one" for ids in by_content.values() if len(ids) > 1]
