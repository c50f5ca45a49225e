"""Adds a case to a set: it is checked alone and against the other cases before the set gets its next minor version.

All of it happens on a copy that then replaces the set, so an interrupted or refused addition leaves the set unchanged.
"""

import shutil
import tempfile
from pathlib import Path

from assets.evals.harvest.proposal import REVIEW, reviewer

from .eval_set import IGNORED, EvalSet, load_set, seal
from .set_checks import check_set
from .set_files import EvalSetError


def add_case(root: Path, case: Path) -> EvalSet:
    """Adds the folder of a case or, for a plain set, the lines of a file. Returns the set's new version.

    Raises `EvalSetError` for a case that is malformed, not reviewed, or fails a check of the set.
    """
    major, minor, _ = (int(part) for part in load_set(root).version.split("."))
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as scratch:
        grown = Path(scratch) / root.name
        shutil.copytree(root, grown, symlinks=True, ignore=shutil.ignore_patterns(*IGNORED, "*.pyc"))
        if (grown / "cases.jsonl").is_file():
            _append(grown / "cases.jsonl", case)
        else:
            _copy(grown / "cases", case)
        (grown / "version").write_text(f"{major}.{minor + 1}.0\n", encoding="utf-8")
        problems = check_set(load_set(grown, sealed=False)).problems
        if problems:
            raise EvalSetError("; ".join(problems))
        seal(grown)
        old = Path(scratch) / "before"
        root.rename(old)
        grown.rename(root)
    return load_set(root)


def _append(cases: Path, more: Path) -> None:
    if not more.is_file():
        raise EvalSetError(f"{more}: the cases of this set are lines of JSON: give a file of them")
    before = cases.read_bytes()
    gap = b"" if before.endswith(b"\n") or not before else b"\n"
    cases.write_bytes(before + gap + more.read_bytes().rstrip(b"\n") + b"\n")


def _copy(cases: Path, case: Path) -> None:
    if not case.is_dir():
        raise EvalSetError(f"{case}: each case of this set is a folder: give one")
    if (cases / case.name).exists():
        raise EvalSetError(f"{case}: the set already has a case {case.name!r}")
    if reviewer(case) == "":
        raise EvalSetError(f"{case}: not reviewed yet: read {case / REVIEW}, then write your name at its end")
    if any(path.is_symlink() for path in case.rglob("*")):
        raise EvalSetError(f"{case}: a case must not contain symbolic links")
    shutil.copytree(case, cases / case.name, ignore=shutil.ignore_patterns(*IGNORED, "*.pyc"))
