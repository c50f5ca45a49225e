"""What can be learned about each case of a set without running it: one row per case, for the checks of the set.

Facts only: `set_checks` decides which of them block a run of the set, and `set_suites` shows them as data docs. A text
field is empty if nothing was found.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.git.command import GitError

from .eval_set import Case, EvalSet
from .gate import GateCase
from .near_duplicates import near_duplicates
from .plain import PlainCase
from .released import ReleasedCase
from .repair import RepairCase, apply, quoted_line
from .test_names import is_case_test, mentioned, names_in

MAX_READ = 4 << 20
"""Bytes of one file; a larger file is compared by its size alone."""

_TOUCHED = re.compile(r"^(?:---|\+\+\+) (?:[ab]/)?([^\t\n]+)", re.MULTILINE)
_HISTORY = (b"# v2 git bundle", b"# v3 git bundle", b"PACK\x00\x00\x00")


@dataclass(frozen=True)
class CaseFacts:
    """One case. `content` is a hash of what a solver receives; each field after it names a problem and its place."""

    id: str
    split: str
    cluster: str
    content: str
    near: str = ""
    """A case with nearly the same text in another split or cluster."""
    missing: str = ""
    link: str = ""
    history: str = ""
    """A file or folder of the repository that contains git history."""
    fix_object: str = ""
    """A file given to the solver whose content equals that of a fixed file or of a held-back test."""
    quoted_fix: str = ""
    quoted_test: str = ""
    shown_test: str = ""
    """A held-back test that is also in the repository."""


def case_facts(found: EvalSet) -> list[CaseFacts]:
    """The facts of every case, in the set's order."""
    near = near_duplicates({case.id: _text(case) for case in found.cases})
    by_id = {case.id: case for case in found.cases}
    return [_facts(case, _elsewhere(case, near.get(case.id, ()), by_id)) for case in found.cases]


def _elsewhere(case: Case, others: tuple[str, ...], by_id: dict[str, Case]) -> str:
    """The first near duplicate in another split or cluster."""
    places = ((other, by_id[other]) for other in others)
    return next((name for name, one in places if (one.split, one.cluster) != (case.split, case.cluster)), "")


def _text(case: Case) -> str:
    payload = case.payload
    if isinstance(payload, RepairCase):
        return payload.issue
    if isinstance(payload, PlainCase):
        return payload.model_dump_json(include={"input"}) if payload.input else ""
    return str(getattr(payload, "issue", ""))


def _facts(case: Case, near: str) -> CaseFacts:
    payload = case.payload
    base = {"id": case.id, "split": case.split, "cluster": case.cluster, "near": near}
    if isinstance(payload, RepairCase):
        return _repair_facts(payload, base)
    if isinstance(payload, ReleasedCase):
        return _released_facts(payload, base)
    if isinstance(payload, GateCase):
        shown = f"{payload.fields.project}\0{payload.issue}\0{payload.before}\0{payload.proposed}"
        return CaseFacts(content=_hash(shown.encode()), **base)
    if isinstance(payload, PlainCase) and payload.input:
        content = hashlib.sha256(payload.model_dump_json(include={"input"}).encode()).hexdigest()
        return CaseFacts(content=content, **base)
    return CaseFacts(content=hashlib.sha256(case.id.encode()).hexdigest(), **base)


def _repair_facts(case: RepairCase, base: dict[str, str]) -> CaseFacts:
    files = {path.relative_to(case.repo).as_posix(): _read(path) for path in _files(case.repo)}
    language = case.fields.language
    tests = [p for p in _files(case.heldback) if is_case_test(language, p.relative_to(case.heldback).as_posix())]
    fixed = _fixed_files(case)
    hidden = {_hash(content) for content in (fixed or {}).values()}
    hidden |= {_hash(_read(path)) for path in tests if path.stat().st_size}
    # Two cases may share a repository, but not both repository and issue.
    parts = [_hash(case.issue.encode()), *(f"{name} {_hash(content)}" for name, content in sorted(files.items()))]
    names = {name for path in tests for name in names_in(language, _read(path).decode(errors="replace"))}
    # Names that the solver can see anyway reveal nothing.
    known = {name for content in files.values() for name in names_in(language, content.decode(errors="replace"))}
    known |= {Path(name).stem for name in files}
    return CaseFacts(
        content=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
        missing=", ".join(_missing(case, tests, fixed)),
        link=_first(path.relative_to(case.folder).as_posix() for path in case.folder.rglob("*") if path.is_symlink()),
        history=_history(case.repo, files),
        fix_object=_first(name for name, content in files.items() if content and _hash(content) in hidden),
        quoted_fix=quoted_line(case.issue, case.fix)[:200],
        quoted_test=_first(mentioned(names - known, case.issue)),
        shown_test=_first(
            name for name in (path.relative_to(case.heldback).as_posix() for path in tests) if name in files
        ),
        **base,
    )


def _released_facts(case: ReleasedCase, base: dict[str, str]) -> CaseFacts:
    """What can be learned without fetching the releases. `check_released` checks whether the issue quotes the fix."""
    title, _, body = case.issue.partition("\n")
    missing = [
        what
        for what, there in (("a title in the first line of issue.md", title), ("a description in issue.md", body))
        if not there.strip("# \n")
    ]
    names = {test.rpartition("::")[2].partition("[")[0] for test in case.fields.fails}
    return CaseFacts(
        content=_hash(f"{case.fields.package} {case.fields.before.sha256} {case.issue}".encode()),
        missing=", ".join(missing),
        quoted_test=_first(sorted(names.intersection(re.findall(r"\w+", case.issue)))),
        **base,
    )


def _missing(case: RepairCase, tests: list[Path], fixed: dict[str, bytes] | None) -> Iterator[str]:
    if not case.title:
        yield "a title in the first line of issue.md"
    if not case.body:
        yield "a description in issue.md"
    if not case.fields.cluster.strip():
        yield "a cluster in case.json"
    if not tests:
        yield "a held-back test"
    if not case.fix.strip():
        yield "a fix in fix.patch"
    elif fixed is None:
        yield "a fix.patch that applies to repo/"


def _fixed_files(case: RepairCase) -> dict[str, bytes] | None:
    """The files that the fix touches, with their fixed content; None if the fix does not apply."""
    if not case.fix.strip():
        return {}
    with tempfile.TemporaryDirectory(prefix="penstock-case-") as scratch:
        root = Path(scratch).resolve()
        touched = {name for name in _TOUCHED.findall(case.fix) if name != "/dev/null"}
        for name in touched:
            source, target = case.repo / name, root / name
            if target.resolve().is_relative_to(root) and source.is_file() and not source.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(_read(source))
        try:
            apply(root, case.fix)
        except GitError:
            return None
        return {name: _read(root / name) for name in sorted(touched) if (root / name).is_file()}


def _history(repo: Path, files: dict[str, bytes]) -> str:
    """A git folder under any name, or a git pack or bundle: the fix could be found in it."""
    for path in repo.rglob("*"):
        if path.name == ".git" or (path.name == "HEAD" and (path.parent / "objects").is_dir()):
            return path.relative_to(repo).as_posix()
    return _first(name for name, content in files.items() if content.startswith(_HISTORY))


def _files(root: Path) -> list[Path]:
    return sorted(
        path for path in root.rglob("*") if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts
    )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_READ + 1)
    return content if len(content) <= MAX_READ else f"{path.stat().st_size} bytes".encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _first(texts: Iterator[str] | list[str]) -> str:
    return next(iter(texts), "")[:200]
