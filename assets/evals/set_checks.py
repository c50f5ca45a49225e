"""What makes a set misleading though it is well formed: twins, leaks of the fix, cases that stand alone.

`problems` block a run of the set; `remarks` are told. Whether a repair case's tests fail before its fix and
pass with it is asked by `repair_set.check_case`, which has to run them.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.statistics.paired import FEWEST_CLUSTERS

from .plain_set import PlainCase
from .repair_set import RepairCase
from .sets import Case, EvalSet

LEAKED_LINE = 24
"""Shorter lines of a fix (`return None`) stand in many texts by chance."""


@dataclass(frozen=True)
class Found:
    """What was found in a set. Each entry is a sentence that names its case."""

    problems: tuple[str, ...]
    remarks: tuple[str, ...]


def check_set(found: EvalSet) -> Found:
    """Looks at every case without running anything."""
    problems = [*_twins(found), *(said for case in found.cases for said in _leaks(case))]
    for part in ("card.md", "version"):
        if not (found.root / part).is_file():
            problems.append(f"{part} is missing: say what the set is, where it comes from and what it cannot show")
    remarks = []
    if len(found.cases) == 1:
        remarks.append("one case: no comparison over it can be conclusive")
    elif found.clusters < FEWEST_CLUSTERS:
        remarks.append(f"{found.clusters} clusters: a comparison needs at least {FEWEST_CLUSTERS} to be conclusive")
    if not any(metric.role == "primary" for metric in found.manifest.metrics):
        remarks.append("no metric is primary: say in set.json which one counts most")
    return Found(tuple(problems), tuple(remarks))


def _twins(found: EvalSet) -> list[str]:
    prints: dict[str, list[str]] = {}
    for case in found.cases:
        prints.setdefault(_fingerprint(case), []).append(case.id)
    return [f"{', '.join(ids)} are the same case: keep one" for ids in prints.values() if len(ids) > 1]


def _fingerprint(case: Case) -> str:
    payload = case.payload
    if isinstance(payload, RepairCase):
        # What the solver gets: the same repository may come with two issues, never twice with one.
        parts = [hashlib.sha256(payload.issue.encode()).hexdigest()]
        for path in sorted(payload.repo.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                parts.append(f"{path.relative_to(payload.repo)} {hashlib.sha256(path.read_bytes()).hexdigest()}")
        return "\n".join(parts)
    if isinstance(payload, PlainCase) and payload.input:
        return payload.model_dump_json(include={"input"})
    return case.id


def _leaks(case: Case) -> list[str]:
    payload = case.payload
    if not isinstance(payload, RepairCase):
        return []
    said = []
    if any(path.is_symlink() for path in payload.folder.rglob("*")):
        said.append(f"{case.id}: holds a link, which would bring in files from outside the set; put the file there")
    if any(path.name == ".git" for path in payload.repo.rglob(".git")):
        said.append(f"{case.id}: the repository carries a git history, in which the fix can be found; remove it")
    added = {line[1:].strip() for line in payload.fix.splitlines() if line.startswith("+") and line[:3] != "+++"}
    if any(len(line) >= LEAKED_LINE and line in payload.issue for line in added):
        said.append(f"{case.id}: the issue quotes a line of the fix; put it in a user's words")
    if any((payload.repo / path.relative_to(payload.heldback)).is_file() for path in _test_files(payload)):
        said.append(f"{case.id}: a held-back test lies in the repository too; keep it out of the solver's sight")
    return said


def _test_files(case: RepairCase) -> list[Path]:
    return [path for path in case.heldback.rglob("test*.py") if path.is_file()]


def counts(found: EvalSet, of: Callable[[Case], str]) -> dict[str, int]:
    """Cases by something, in order of its names."""
    return dict(sorted(Counter(of(case) for case in found.cases).items()))
