"""Eval sets: a folder with a data card, a manifest, cases, a version, and the hash of what that version holds.

A set changes only with its version: whenever it is read, its content is compared with the hash that `versions.json`
records for the version. Here every case has an id, a split, a cluster and strata; what else is in a case depends on
the kind of set and is defined in the kind's own module.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.statistics import MetricSpec

from .gate import PROJECTS, load_gate_cases
from .plain import load_plain_cases
from .released import load_released
from .repair import load_cases
from .set_files import EvalSetError, parse, read_text

MAX_FILES = 100_000
VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")
IGNORED = {"__pycache__", ".pytest_cache", ".DS_Store"}
"""Names of files and folders that are not part of a set's content."""


class MetricFields(BaseModel):
    """A metric as written in `set.json`. `core.statistics.MetricSpec` documents the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    kind: Literal["rate", "ratio", "mean"]
    better: Literal["higher", "lower"]
    margin: float = Field(gt=0)
    role: Literal["primary", "guard", "info"] = "guard"
    over: Literal["all", "both resolved"] = "all"
    unit: str = ""
    title: str = ""

    def spec(self) -> MetricSpec:
        return MetricSpec(**self.model_dump())


class Manifest(BaseModel):
    """The content of `set.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    kind: str
    title: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    origin: str = Field(min_length=1)
    splits: tuple[str, ...] = Field(min_length=1)
    metrics: tuple[MetricFields, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Case:
    """One task of a set. The type of `payload` depends on the kind of set; `strata` are for tables and charts only."""

    id: str
    split: str
    cluster: str
    strata: Mapping[str, str]
    payload: Any


@dataclass(frozen=True)
class EvalSet:
    """A set as read from disk. `sha256` covers everything that a result depends on: the manifest and the cases."""

    root: Path
    manifest: Manifest
    version: str
    sha256: str
    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        return tuple(metric.spec() for metric in self.manifest.metrics)

    @property
    def clusters(self) -> int:
        return len({case.cluster for case in self.cases})

    def split(self, name: str) -> list[Case]:
        """The cases of one split, or of `all`. Raises `EvalSetError` for a split that does not exist or is empty."""
        if name != "all" and name not in self.manifest.splits:
            raise EvalSetError(f"{self.name} has no split {name!r}: choose {', '.join(self.manifest.splits)} or all")
        found = [case for case in self.cases if name in ("all", case.split)]
        if not found:
            raise EvalSetError(f"split {name!r} of {self.name} has no cases: choose another, or add cases to it")
        return found


def _repair_cases(root: Path) -> list[Case]:
    return [
        Case(
            case.id,
            case.fields.split,
            case.fields.cluster,
            {
                "language": case.fields.language,
                "family": case.fields.family,
                "bug_class": case.fields.bug_class,
                "expected": case.fields.expected,
            },
            case,
        )
        for case in load_cases(root)
    ]


def _plain_cases(root: Path) -> list[Case]:
    return [Case(case.id, case.split, case.cluster, case.strata, case) for case in load_plain_cases(root)]


def _released_cases(root: Path) -> list[Case]:
    return [
        Case(
            case.id,
            case.fields.split,
            case.fields.package,
            {"family": case.fields.family, "bug_class": case.fields.bug_class},
            case,
        )
        for case in load_released(root)
    ]


def _gate_cases(root: Path) -> list[Case]:
    return [
        Case(
            case.id,
            case.fields.split,
            case.fields.project,
            {"label": case.fields.label, "kind": case.fields.kind},
            case,
        )
        for case in load_gate_cases(root)
    ]


KINDS: dict[str, Callable[[Path], list[Case]]] = {
    "repair": _repair_cases,
    "released": _released_cases,
    "gate": _gate_cases,
    "plain": _plain_cases,
}


def load_set(root: Path, *, sealed: bool = True) -> EvalSet:
    """Reads a set. Raises `EvalSetError` for anything malformed and, with `sealed`, for content that is not what was
    sealed under its version."""
    path = root / "set.json"
    manifest = parse(Manifest, read_text(path), str(path))
    if manifest.kind not in KINDS:
        raise EvalSetError(f"{path}: unknown kind {manifest.kind!r}; known are {', '.join(sorted(KINDS))}")
    cases = KINDS[manifest.kind](root)
    _check_cases(root, manifest, cases)
    version = read_text(root / "version").strip()
    if not VERSION.fullmatch(version):
        raise EvalSetError(f"{root / 'version'}: {version[:40]!r} is not a version; write three numbers, as in 1.2.0")
    found = EvalSet(root, manifest, version, content_hash(root), tuple(cases))
    if sealed:
        _check_seal(found)
    return found


def _check_cases(root: Path, manifest: Manifest, cases: list[Case]) -> None:
    if not cases:
        raise EvalSetError(f"{root}: the set has no cases; add one with `penstock eval add`")
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise EvalSetError(f"{root}: two cases have the id {case.id!r}; give each its own")
        seen.add(case.id)
        if case.split not in manifest.splits:
            raise EvalSetError(f"{root}: case {case.id!r} has split {case.split!r}, which set.json does not name")
    names = [metric.name for metric in manifest.metrics]
    if len(set(names)) != len(names):
        raise EvalSetError(f"{root / 'set.json'}: two metrics have the same name")


def _hashed_files(root: Path) -> Iterator[Path]:
    """The files that the hash covers: the manifest, the cases and the projects that they share. Symbolic links are not
    followed."""
    yield root / "set.json"
    for name in ("cases", "cases.jsonl"):
        if (root / name).is_file():
            yield root / name
    for part in ("cases", PROJECTS):
        for folder, folders, files in os.walk(root / part):
            folders[:] = sorted(name for name in folders if name not in IGNORED)
            for name in sorted(files):
                if name not in IGNORED and not name.endswith(".pyc"):
                    yield Path(folder) / name


def content_hash(root: Path) -> str:
    """SHA-256 over the names and contents of a set's files, in hexadecimal. Raises `EvalSetError`."""
    total = hashlib.sha256()
    paths = sorted((path.relative_to(root).as_posix(), path) for path in _hashed_files(root))
    if len(paths) > MAX_FILES:
        raise EvalSetError(f"{root}: more than {MAX_FILES} files")
    for name, path in paths:
        try:
            content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        except OSError as error:
            raise EvalSetError(f"{path}: {error.strerror or error}") from error
        total.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def sealed_versions(root: Path) -> dict[str, str]:
    """Each sealed version with the hash of its content. Raises `EvalSetError` for a malformed `versions.json`."""
    path = root / "versions.json"
    if not path.exists():
        return {}
    try:
        found = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise EvalSetError(f"{path}: line {error.lineno}: {error.msg}") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise EvalSetError(f"{path}: must be a JSON object from versions to hashes")
    return found


def _check_seal(found: EvalSet) -> None:
    known = sealed_versions(found.root)
    if found.version not in known:
        raise EvalSetError(
            f"{found.root}: version {found.version} is not sealed; review its cases, then run "
            f"`penstock eval seal {found.name}`"
        )
    if known[found.version] != found.sha256:
        raise EvalSetError(
            f"{found.root}: the content is no longer that of version {found.version}; raise the number in "
            f"{found.root / 'version'} and run `penstock eval seal {found.name}`, or restore the content"
        )


def seal(root: Path) -> EvalSet:
    """Adds the set's version and the hash of its content to `versions.json`. Raises `EvalSetError` if the version is
    already sealed with another content."""
    found = load_set(root, sealed=False)
    known = sealed_versions(root)
    if known.get(found.version, found.sha256) != found.sha256:
        raise EvalSetError(
            f"{root}: version {found.version} is sealed with another content; raise the number in {root / 'version'}"
        )
    known[found.version] = found.sha256
    temporary = root / "versions.json.new"
    temporary.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    temporary.replace(root / "versions.json")
    return found


def find_sets(roots: list[Path]) -> dict[str, Path]:
    """The folders with a `set.json` by folder name; of equal names, the one in the earlier root."""
    found: dict[str, Path] = {}
    for root in roots:
        if root.is_dir():
            for path in sorted(root.iterdir()):
                if (path / "set.json").is_file():
                    found.setdefault(path.name, path)
    return found
