"""What makes a set misleading though it is well formed: twins, leaks of the fix, answers in the query, missing parts.

`problems` block a run of the set; `remarks` are told. Whether a repair case's tests fail before its fix and
pass with it is asked by `repair_set.check_case`, which has to run them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.statistics.paired import FEWEST_CLUSTERS

from .case_facts import CaseFacts, case_facts
from .eval_set import EvalSet, sealed_versions

CHECKS = {
    "cases_are_distinct": "No case is there twice, nor nearly so in another split or cluster.",
    "no_fix_in_the_history": "What is handed over has no git history, no link out, and no file that the fix makes.",
    "no_answer_in_the_query": "No issue quotes its fix or names a held-back test, and none of these is shown.",
    "nothing_is_missing": "Every case has all its parts; the set has a card, a licence, an origin and a version.",
}
"""The names of the checks, with what they promise."""

_SAID = {
    "near": ("cases_are_distinct", "asks nearly the same as {}, which counts as other evidence: keep one"),
    "link": (
        "no_fix_in_the_history",
        "holds a link, which would bring in files from outside the set ({}); put the file there",
    ),
    "history": (
        "no_fix_in_the_history",
        "the repository carries a git history ({}), in which the fix can be found; remove it",
    ),
    "fix_object": ("no_fix_in_the_history", "{} has the content of the fixed file or of a held-back test; remove it"),
    "quoted_fix": ("no_answer_in_the_query", "the issue quotes a line of the fix ({}); put it in a user's words"),
    "quoted_test": ("no_answer_in_the_query", "the issue names the held-back test {}; put it in a user's words"),
    "shown_test": (
        "no_answer_in_the_query",
        "a held-back test lies in the repository too ({}); keep it out of the solver's sight",
    ),
    "missing": ("nothing_is_missing", "lacks {}"),
}
"""By the fact of a case: which check it breaks, and what is said of it."""


@dataclass(frozen=True)
class SetFacts:
    """One thing that a set must have: whether it is there, and what to do if not."""

    name: str
    present: bool
    remedy: str


@dataclass(frozen=True)
class Found:
    """What was found in a set. Each entry is a sentence that names its case; `by_check` sorts the problems by check."""

    by_check: dict[str, tuple[str, ...]]
    remarks: tuple[str, ...]
    cases: tuple[CaseFacts, ...]
    parts: tuple[SetFacts, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(said for check in CHECKS for said in self.by_check[check])


def check_set(found: EvalSet) -> Found:
    """Looks at every case without running anything."""
    cases, parts = tuple(case_facts(found)), tuple(_parts(found))
    said: dict[str, list[str]] = {check: [] for check in CHECKS}
    said["cases_are_distinct"] += _twins(cases)
    for case in cases:
        for fact, (check, sentence) in _SAID.items():
            if value := getattr(case, fact):
                said[check].append(f"{case.id}: {sentence.format(value)}")
    said["nothing_is_missing"] += [part.remedy for part in parts if not part.present]
    return Found({check: tuple(lines) for check, lines in said.items()}, tuple(_remarks(found)), cases, parts)


def _remarks(found: EvalSet) -> list[str]:
    remarks = []
    if len(found.cases) == 1:
        remarks.append("one case: no comparison over it can be conclusive")
    elif found.clusters < FEWEST_CLUSTERS:
        remarks.append(f"{found.clusters} clusters: a comparison needs at least {FEWEST_CLUSTERS} to be conclusive")
    if not any(metric.role == "primary" for metric in found.manifest.metrics):
        remarks.append("no metric is primary: say in set.json which one counts most")
    return remarks


def _parts(found: EvalSet) -> list[SetFacts]:
    manifest = found.manifest
    card = found.root / "card.md"
    return [
        SetFacts(
            "card.md",
            card.is_file() and card.stat().st_size > 0,
            "card.md is missing: say what the set is, where it comes from and what it cannot show",
        ),
        SetFacts("licence", bool(manifest.licence.strip()), "set.json names no licence: say how it may be used"),
        SetFacts("origin", bool(manifest.origin.strip()), "set.json names no origin: say who wrote the cases"),
        SetFacts(
            "sealed version",
            # A set that was never sealed is on its way; one whose content changed is refused when it is read.
            bool(found.version) and sealed_versions(found.root).get(found.version, found.sha256) == found.sha256,
            f"version {found.version} is not what lies there: raise it and seal the set",
        ),
    ]


def _twins(cases: Sequence[CaseFacts]) -> list[str]:
    prints: dict[str, list[str]] = {}
    for case in cases:
        prints.setdefault(case.content, []).append(case.id)
    return [f"{', '.join(ids)} are the same case: keep one" for ids in prints.values() if len(ids) > 1]
