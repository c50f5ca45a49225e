"""What a language other than Python needs so that the tests of a repository run: found, fetched, built, run, reported.

Each language is one module with one class. Its `find` and `toolchain` read files only; `fetch` runs trusted programs in
the fetch step, on declarations alone; `build` and the tests run the repository's code, in the sandbox, without network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sandbox.protocol import Mount
from sandbox.reports import TestCase

from .tree import SourceTree

INSIDE = "/opt/penstock/packages"
"""Where an environment's folder is mounted, read-only, inside the sandbox."""
SCRATCH = ".penstock"
"""A folder of the workspace for what builds write beside the sources."""


class BuildFailed(Exception):
    """The repository's code could not be built; the message is the end of what the tools said."""


class PackagesMissing(Exception):
    """A build found that packages are not there which its declarations do not name. They are fetched, and it is built
    again; a build that asks for the same again cannot have them. `needed`: no test can be run without."""

    def __init__(self, wanted: Sequence[str], needed: bool = False) -> None:
        super().__init__(", ".join(wanted).replace("\t", " "))
        self.wanted, self.needed = tuple(wanted), needed


@dataclass(frozen=True)
class Needs:
    """What was found in a repository. `folders` are the packages whose tests are run ("" for the root); `files` the
    declarations that decide about the environment; `version` a requirement on the toolchain as the repository says it,
    in `version_from`. `facts` are the language's own, as JSON."""

    language: str
    runner: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    version: str = ""
    version_from: str = ""
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The declaration files, for people."""
        return ", ".join(self.files[:6]) + (f" and {len(self.files) - 6} more" if len(self.files) > 6 else "")


@dataclass(frozen=True)
class Toolchain:
    """Programs of this machine. `mounts` and `variables` make them usable in the sandbox, and also in the fetch step,
    which sees `readable` at the same paths as here; `version` is for people and for keys, `notes` are for people."""

    version: str
    mounts: tuple[Mount, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Base:
    """What all environments with one toolchain start from, made once from the toolchain alone: `files` are written into
    an empty workspace, `command` is run there in the sandbox, and its folder `path` becomes `name` in environments."""

    files: Mapping[str, str]
    command: tuple[str, ...]
    path: str
    name: str


@dataclass(frozen=True)
class Registry:
    """The package registry of a language: the address that programs are given (empty for their own default), and the
    hosts, as `host` or `host:port`, that they may connect to for it."""

    address: str
    hosts: tuple[str, ...]


class FetchStep(Protocol):
    """A step that fetches. `folder` holds a copy of the declarations; what is written into `made` becomes the
    environment. `registry` says where from. `wanted` is empty at first, and what a build missed when that is fetched
    as well (`PackagesMissing`)."""

    folder: Path
    made: Path
    registry: Registry
    wanted: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """What is left of the time for making the environment."""

    def run(self, command: Sequence[str], variables: Mapping[str, str], cwd: str = "") -> str:
        """Runs a program in `folder/cwd`; returns its output. Raises `FetchFailed`."""


class BuildStep(Protocol):
    """A step that runs the repository's code in the sandbox, in a copy of the whole repository with the environment
    mounted. It has no network."""

    @property
    def seconds(self) -> float:
        """What is left of the time for making the environment."""

    def run(self, command: Sequence[str], variables: Mapping[str, str], cwd: str = "") -> str:
        """Runs a command in a folder of the repository; returns its output. Raises `BuildFailed`."""

    def keep(self, path: str, name: str) -> None:
        """Makes a folder of the workspace part of the environment, as `name`, in place of what is there. Raises
        `BuildFailed`."""

    def add(self, path: str, name: str) -> None:
        """Adds the regular files of a folder of the workspace to the environment's folder `name`. Raises
        `BuildFailed`."""

    def note(self, text: str) -> None:
        """Adds a sentence to the environment's notes."""


@dataclass(frozen=True)
class TestPlan:
    """How tests are run once: `command` in the repository's folder `folder`. Results are read from its standard output
    if `reports` is empty, else from the files of the workspace that match one of these `find -path` patterns; such
    files are removed before the run."""

    __test__ = False

    command: tuple[str, ...]
    folder: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    reports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ran:
    """How the command of a plan ended. `exit_code` is None when a limit ended it; `reports` are the files that matched,
    by path."""

    plan: TestPlan
    exit_code: int | None
    output: bytes
    errors: bytes
    reports: Mapping[str, bytes]


class Language(Protocol):
    """One language. All methods but `fetch` and `build` are pure functions of files and arguments."""

    name: str
    title: str
    """Its name for people."""
    suffixes: tuple[str, ...]
    """Of its sources, with the dot."""
    programs: tuple[str, ...]
    """Names of programs that a command begins with which runs its tests."""

    def is_test(self, path: str) -> bool:
        """Whether a file belongs to the tests, which a patch may never change."""

    def steers(self, path: str) -> bool:
        """Whether a file decides which tests are run or with what: settings of runners, declarations, build files."""

    def find(self, tree: SourceTree) -> Needs | None:
        """What the repository's tests need; None when it has none in this language. Raises `EnvironmentRefused`."""

    def toolchain(self, needs: Needs) -> Toolchain:
        """The programs to use. Raises `EnvironmentRefused`, which names what is missing and how to install it."""

    def base(self, needs: Needs) -> Base | None:
        """What to start from; None to start from nothing. It may not depend on the repository."""

    def registry(self, setting: str) -> Registry:
        """Where packages come from: the operator's setting, else what this machine is configured with."""

    def fetch(self, needs: Needs, step: FetchStep) -> None:
        """Fetches what the declarations name. Raises `FetchFailed` and `EnvironmentRefused`."""

    def build(self, needs: Needs, step: BuildStep) -> None:
        """Builds what tests would otherwise build each time. Raises `BuildFailed`, which only makes tests slower,
        `PackagesMissing` and `EnvironmentRefused`."""

    def variables(self, needs: Needs) -> Mapping[str, str]:
        """For the build and for tests, beside those of the toolchain."""

    def prepare(self, needs: Needs) -> Sequence[Sequence[str]]:
        """Commands that make the environment usable in a new workspace, such as links to packages."""

    def plans(self, needs: Needs, tests: Sequence[str], seconds: float) -> Sequence[TestPlan]:
        """How to run these tests (empty for all) within `seconds`. More tests may be run than were asked for."""

    def results(self, needs: Needs, ran: Ran, tree: SourceTree) -> list[TestCase]:
        """What a run says about each test."""
