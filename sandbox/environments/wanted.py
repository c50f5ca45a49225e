"""What a repository declares that its tests need: the result of finding, and the input of fetching and building."""

from collections.abc import Mapping
from dataclasses import dataclass, field


class EnvironmentRefused(ValueError):
    """An environment that cannot be made as it is declared. `missing` completes "The tests need …"; `remedy` is a
    sentence that says what to change, and where."""

    def __init__(self, missing: str, remedy: str) -> None:
        super().__init__(f"The tests need {missing}: {remedy[:1].lower()}{remedy[1:]}")
        self.missing, self.remedy = missing, remedy


class FetchFailed(Exception):
    """Packages could not be resolved or downloaded. `unreachable`: the registry did not answer; `sdists`: names of
    packages that have no wheel for this Python."""

    def __init__(self, message: str, *, unreachable: bool = False, sdists: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.unreachable, self.sdists = unreachable, sdists


@dataclass(frozen=True)
class Requirement:
    """One requirement as PEP 508 text, and the file and field (or line) that declares it."""

    text: str
    file: str
    field: str

    @property
    def place(self) -> str:
        return f"{self.file} ({self.field})" if self.field else self.file


@dataclass(frozen=True)
class Group:
    """Requirements that belong together. One that is not `needed` is left out when it conflicts with the others."""

    name: str
    requirements: tuple[Requirement, ...]
    needed: bool = False


@dataclass(frozen=True)
class Project:
    """A package of the repository that is to be installed editable; `folder` is relative to the root, "" for it."""

    folder: str
    name: str
    build_requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...] = ()
    dynamic: bool = False
    """Whether what it needs is only known when it is built."""


@dataclass(frozen=True)
class Lock:
    """A lock file: `versions` by normalised name where there is one, `marked` requirements of packages with a version
    for each Python or platform, `hashes` (SHA-256) by `name==version`, and `refused`: names of packages that no
    registry has, with why."""

    file: str
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    marked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """Everything that was found. `python` is a version specifier, empty for any, and `preferred` a narrower one that
    is used if such an interpreter is there; `files` are the files read, which with their content determine the
    environment; `local` are the names of the repository's own packages, which are never fetched."""

    python: str
    python_from: str
    preferred: str
    groups: tuple[Group, ...]
    lock: Lock | None
    projects: tuple[Project, ...]
    files: tuple[str, ...]
    local: frozenset[str] = frozenset()
    constraints: tuple[Requirement, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where the requirements come from, for people."""
        names = [self.lock.file] if self.lock else []
        return ", ".join(dict.fromkeys(names + [r.file for group in self.groups for r in group.requirements]))


@dataclass(frozen=True)
class Declaration:
    """What a repository's `penstock.toml` says about its environment; None where it says nothing."""

    python: str | None = None
    requirements: tuple[str, ...] | None = None
    files: tuple[str, ...] | None = None
    extras: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None

    @property
    def names_tests(self) -> bool:
        """Whether it says what the tests need, so that nothing else is looked for."""
        return any(part is not None for part in (self.requirements, self.files, self.extras, self.groups))
