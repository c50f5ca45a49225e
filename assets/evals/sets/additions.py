"""Adding to a set: a case is checked on its own and among the others before the set becomes its next minor version.

Everything is tried on a copy, which then takes the set's place, so that an interrupted or refused addition
leaves the set as it was.
"""

import shutil
import tempfile
from pathlib import Path

from assets.evals.harvest.proposal import REVIEW, reviewer

from .eval_set import FORGOTTEN, EvalSet, EvalSetError, load_set, seal
from .set_checks import check_set


def add_case(root: Path, case: Path) -> EvalSet:
    """Adds a case's folder, or for a plain set the lines of a file. Raises `EvalSetError` when it does not fit."""
    known = load_set(root)
    major, minor, _ = (int(part) for part in known.version.split("."))
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as scratch:
        grown = Path(scratch) / root.name
        shutil.copytree(root, grown, symlinks=True, ignore=shutil.ignore_patterns(*FORGOTTEN, "*.pyc"))
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
        raise EvalSetError(f"{more}: cases of this set are lines of JSON; give a file")
    before = cases.read_bytes()
    gap = b"" if before.endswith(b"\n") or not before else b"\n"
    cases.write_bytes(before + gap + more.read_bytes().rstrip(b"\n") + b"\n")


def _copy(cases: Path, case: Path) -> None:
    if not case.is_dir():
        raise EvalSetError(f"{case}: a case of this set is a folder")
    if (cases / case.name).exists():
        raise EvalSetError(f"{case}: the set has a case {case.name!r} already")
    if reviewer(case) == "":
        raise EvalSetError(f"{case}: nobody has reviewed it: read {case / REVIEW}, then put your name at its end")
    if any(path.is_symlink() for path in case.rglob("*")):
        raise EvalSetError(f"{case}: a case holds no links")
    shutil.copytree(case, cases / case.name, ignore=shutil.ignore_patterns(*FORGOTTEN, "*.pyc"))
