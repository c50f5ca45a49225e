"""Makes the environment that the tests of a repository run in, or takes it from the cache.

In this order: builds the repository's own packages in the sandbox, resolves what all need, downloads it, unpacks it,
and publishes the result. Nothing of the repository or of a package runs outside the sandbox.
"""

import email.parser
import hashlib
import io
import json
import os
import platform
import re
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.version import Version

from sandbox.cached_folders import write_file
from sandbox.protocol import Mount, Sandbox
from sandbox.python import PythonRuntime

from .build import BUILD_INSIDE, BuildFailed, Built, build, interpreter_mounts
from .find.requirement_files import name_of, normal
from .find.runners import DEV_WORDS, is_for_tests
from .install import INSIDE, Tree
from .interpreters import Interpreter, choose
from .resolve import Pin, Resolver, checked
from .sdists import SourceBuilder
from .store import Entry, Store
from .uv import Uv
from .wanted import EnvironmentRefused, FetchFailed, Project, Wanted

_FORMAT = 1
"""Part of every key: raised when an environment is made in another way than before."""
_RUNNER = "pytest>=7.4"
_MOST_ROUNDS = 8
_MOST_FILES = 50_000
_BUILD_FILES = re.compile(r"\.(pyx|pxd|pxi|c|cc|cpp|cxx|h|hpp|rs|f|f90|toml|cfg|in)$|(^|/)(setup|_version|version|"
                          r"__about__)\.py$|(^|/)(meson\.build|CMakeLists\.txt|PKG-INFO|VERSION)$")  # fmt: skip
_UNREACHABLE = "Let Penstock's machine reach the package index, or set `package_index` to one that it can reach."


@dataclass(frozen=True)
class Options:
    """How environments are made here. `scope` names whose environment it is (team, source and trusted ref), so that
    none is shared across; `version` is what build backends that ask git for the project's version are told; `before`
    is an RFC 3339 time, empty for the newest versions; `task` names in the proxy's log whom a fetch serves, by default
    the scope."""

    cache: Path
    scope: str
    index: str = ""
    hosts: tuple[str, ...] = ()
    """Hosts that packages may be fetched from beside those of the index."""
    most_bytes: int = 10 << 30
    seconds: float = 900.0
    version: str = "0.0.0"
    before: str = ""
    offline: bool = False
    task: str = ""
    wheels: tuple[Path, ...] = ()
    """Local folders of wheels, used beside the index."""
    registries: Mapping[str, str] = field(default_factory=dict)
    """Addresses of the package registries of other languages, by the language's name."""

    @property
    def served(self) -> str:
        return f"task {self.task}" if self.task else self.scope

    @property
    def store(self) -> Store:
        return Store(self.cache / "environments", self.most_bytes)


@dataclass
class TestEnvironment:
    """A repository's environment in the cache, kept there until `close`."""

    __test__ = False

    entry: Entry
    cached: bool
    seconds: float

    @property
    def runtime(self) -> PythonRuntime:
        facts = self.entry.facts
        mounts = [Mount(self.entry.folder / "python", INSIDE)]
        prefix = Path(facts["prefix"])
        interpreter = Interpreter(Path(facts["interpreter"]), (0, 0, 0), prefix)
        variables = {"PATH": f"{INSIDE}/bin:/usr/local/bin:/usr/bin:/bin", "VIRTUAL_ENV": INSIDE}
        return PythonRuntime((*mounts, *interpreter_mounts(interpreter)), f"{INSIDE}/bin/python", variables)

    @property
    def site_packages(self) -> Path:
        """Its packages, on the host."""
        return next((self.entry.folder / "python" / "lib").glob("python*")) / "site-packages"

    def generated(self) -> dict[str, Path]:
        """Files that building the repository's packages wrote into the work tree, by their path there."""
        folder = self.entry.folder / "generated"
        listed = self.entry.facts.get("generated", ())
        return {path: folder / str(number) for number, path in enumerate(listed)}

    def close(self) -> None:
        self.entry.release()


def environment_key(root: Path, wanted: Wanted, interpreter: Interpreter, options: Options) -> str:
    """The name of an environment with the newest versions: a hash of everything that decides about its content."""
    digest = hashlib.sha256()
    facts = [_FORMAT, options.scope, options.index, options.version, interpreter.release,
             str(interpreter.path), platform.machine(), platform.libc_ver(), asdict(wanted)]  # fmt: skip
    digest.update(json.dumps(facts, sort_keys=True, default=sorted).encode())
    for path in sorted(_deciding(root, wanted)):
        file = root / path
        digest.update(f"\0{path}\0".encode())
        if not file.is_symlink() and file.is_file():
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:32]


def _deciding(root: Path, wanted: Wanted) -> set[str]:
    """Declaration files; where packages are built, also what builds read, and the names of the modules there are."""
    paths = set(wanted.files)
    if not wanted.projects:
        return paths
    for path in _walk(root):
        if _BUILD_FILES.search(path):
            paths.add(path)
        elif path.endswith(".py"):
            paths.add(path.rpartition("/")[0] + "/")  # a folder of modules; its files may change
    return paths


def _walk(root: Path) -> Sequence[str]:
    """Relative paths of the files, without links; some 50,000 at most."""
    found: list[str] = []
    stack = [""]
    while stack and len(found) <= _MOST_FILES:
        at = stack.pop()
        with os.scandir(root / at) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in (".git", "node_modules", "__pycache__", ".venv"):
                        stack.append(f"{at}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    found.append(at + entry.name)
    return found


def prepare(
    root: Path, wanted: Wanted, sandbox: Sandbox, options: Options, progress: Callable[[str], object] = str
) -> TestEnvironment:
    """The environment of the repository at `root`. `progress` is told each step.

    Raises `EnvironmentRefused` when it cannot be made as it is declared, `RegistryUnreachable`, `StoreBusy` and
    `SandboxUnavailable`."""
    began = time.monotonic()
    interpreter = choose(wanted, options.cache)
    key = environment_key(root, wanted, interpreter, options)
    store = options.store
    before = options.before or store.remembered(key)
    if before:
        options, key = replace(options, before=before), hashlib.sha256(f"{key} {before}".encode()).hexdigest()[:32]
    for _ in range(3):  # one that was just made may be evicted by others before it is held
        entry = store.get(key)
        if entry is not None:
            made_at = float(entry.facts.get("made", 0))
            return TestEnvironment(entry, made_at < time.time() - (time.monotonic() - began), time.monotonic() - began)
        with store.making(key, options.seconds) as made:
            if isinstance(made, Entry):
                return TestEnvironment(made, True, time.monotonic() - began)
            maker = _Maker(root, wanted, sandbox, options, interpreter, made, progress)
            store.publish(key, made, maker.make())
    raise EnvironmentRefused("room for its environment", "Raise the setting `environments_gib`.")


def remember(root: Path, wanted: Wanted, options: Options) -> None:
    """From now on, versions as of `options.before` are used where the newest ones would be."""
    key = environment_key(root, wanted, choose(wanted, options.cache), options)
    options.store.remember(key, options.before)


class RegistryUnreachable(EnvironmentRefused):
    """The package index could not be reached."""


@dataclass
class _Maker:
    root: Path
    wanted: Wanted
    sandbox: Sandbox
    options: Options
    interpreter: Interpreter
    made: Path
    progress: Callable[[str], object]
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    _trees: dict[tuple[str, ...], Tree] = field(default_factory=dict)

    def make(self) -> dict[str, object]:
        """Fills the folder `made`; returns the facts about it."""
        self.notes += self.wanted.notes
        uv = Uv(
            self.options.cache / "uv", self.options.index, self.options.offline, self.options.hosts, self.options.served
        )
        self.uv = uv
        resolver = Resolver(uv, self.interpreter, self.options.wheels, self.options.before)
        with tempfile.TemporaryDirectory(prefix="penstock-build-") as scratch:
            self.scratch = Path(scratch)
            self.resolver = SourceBuilder(resolver, self.sandbox, self.scratch, self._build_tree, self.log)
            try:
                return self._make()
            except FetchFailed as failure:
                if failure.unreachable:
                    raise RegistryUnreachable(f"packages of the package index, which cannot be reached ({failure})",
                                              _UNREACHABLE) from failure  # fmt: skip
                raise EnvironmentRefused(f"packages that cannot be resolved together ({str(failure).rstrip('.')})",
                                         "Name versions that fit under `[environment] requirements` in "
                                         "penstock.toml.") from failure  # fmt: skip

    def _make(self) -> dict[str, object]:
        built = [(project, one) for project in self.wanted.projects if (one := self._build(project)) is not None]
        began = time.monotonic()
        self.progress("choosing the versions of its packages")
        metadata = [text for project, one in built for text in self._needed_by(project, one)]
        pins, left_out = self._resolve(metadata)
        pins = [pin for pin in pins if pin.name not in self.wanted.local]
        self.seconds["resolve"] = round(time.monotonic() - began, 3)
        began = time.monotonic()
        self.progress(f"fetching {len(pins)} packages")
        tree = Tree(self.made / "python", self.interpreter)
        tree.install(self.uv, pins, self.resolver.wheels)
        for project, one in built:
            self._install(tree, project, one)
        for project in self.wanted.projects:
            if project.name and project not in [p for p, _ in built]:
                self._stand_in(tree, project)
        self.seconds["fetch"] = round(time.monotonic() - began, 3)
        began = time.monotonic()
        tree.compile()
        self.seconds["compile"] = round(time.monotonic() - began, 3)
        generated = {path: content for _, one in built for path, content in one.generated}
        (self.made / "generated").mkdir()
        for number, content in enumerate(generated.values()):
            (self.made / "generated" / str(number)).write_bytes(content)
        places = Counter(f"{one.host}:{one.port} {one.why or 'allowed'}" for one in self.uv.decisions)
        self.log.append("\n".join(["# connections", *(f"{n} to {place}" for place, n in sorted(places.items()))]))
        (self.made / "log.txt").write_text("\n\n".join(self.log)[-200_000:])
        return {
            "python": self.interpreter.release,
            "interpreter": str(self.interpreter.path),
            "prefix": str(self.interpreter.prefix),
            "source": self.wanted.source,
            "scope": self.options.scope,
            "before": self.options.before,
            "packages": [pin.text for pin in sorted(pins, key=lambda pin: pin.name)],
            "projects": [project.folder or "." for project, _ in built],
            "left_out": left_out,
            "generated": list(generated),
            "notes": list(dict.fromkeys(self.notes)),
            "seconds": self.seconds,
            "made": time.time(),
        }

    # the repository's own packages

    def _build(self, project: Project) -> Built | None:
        """An editable wheel of one package; None, with a note, when it cannot be built."""
        began = time.monotonic()
        self.progress(f"building {project.name or project.folder or 'the project'}")
        requires = project.build_requires
        try:
            for _ in range(3):
                tree = self._build_tree(requires)
                built = build(self.sandbox, self.root, project, tree, editable=True, version=self.options.version)
                self.log.append(f"# build of {project.name or project.folder}\n{built.log}")
                if not built.requires:
                    return built
                requires = (*requires, *built.requires)
            raise BuildFailed(f"the backend {project.backend} keeps asking for more requirements")
        except BuildFailed as failure:
            reason = str(failure)
        except FetchFailed as failure:
            if failure.unreachable:
                raise
            reason = f"what its build requires cannot be fetched: {failure}"
        finally:
            self.seconds["build"] = round(self.seconds.get("build", 0.0) + time.monotonic() - began, 3)
        self.log.append(f"# build of {project.name or project.folder} failed\n{reason}")
        self.notes.append(f"{project.name or project.folder or 'The project'} could not be built ({reason[:400]}); its "
                          "modules are imported from the work tree.")  # fmt: skip
        return None

    def _build_tree(self, requires: Sequence[str]) -> Tree:
        """An environment with a build's requirements, for use in the sandbox."""
        wanted = tuple(sorted(set(requires)))
        if wanted not in self._trees:
            pins = self.resolver.resolve(wanted) if wanted else []
            tree = Tree(self.scratch / f"build-{len(self._trees)}", self.interpreter, BUILD_INSIDE)
            tree.install(self.uv, pins, self.resolver.wheels)
            self._trees[wanted] = tree
        return self._trees[wanted]

    def _needed_by(self, project: Project, built: Built) -> list[str]:
        """What a built package says that it needs, with its extras for tests, where the declarations do not say it."""
        if not project.dynamic:
            return []
        with zipfile.ZipFile(io.BytesIO(built.wheel)) as wheel:
            name = next((n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")), None)
            if name is None or wheel.getinfo(name).file_size > 4 << 20:
                return []
            message = email.parser.BytesParser().parsebytes(wheel.read(name), headersonly=True)
        extras = [e for e in message.get_all("Provides-Extra", []) if is_for_tests(e)]
        extras = extras or [e for e in message.get_all("Provides-Extra", []) if e in DEV_WORDS]
        found = []
        for text in message.get_all("Requires-Dist", [])[:2000]:
            try:
                parsed = Parsed(text)
            except InvalidRequirement:
                continue
            if parsed.url is not None or normal(parsed.name) in self.wanted.local:
                continue
            if parsed.marker is None or any(parsed.marker.evaluate(self._markers(extra)) for extra in ("", *extras)):
                parsed.marker = None
                found.append(str(parsed))
        return found

    def _markers(self, extra: str) -> dict[str, str]:
        """The values of environment markers for this interpreter."""
        mine = {key: str(value) for key, value in default_environment().items()}
        return mine | {"python_version": self.interpreter.minor, "python_full_version": self.interpreter.release,
                       "implementation_version": self.interpreter.release, "extra": extra}  # fmt: skip

    def _install(self, tree: Tree, project: Project, built: Built) -> None:
        wheel = self.scratch / built.name
        wheel.write_bytes(built.wheel)
        if built.editable:
            tree.add_wheel(self.uv, wheel)
            return
        self._metadata_only(tree, built)
        self._path_file(tree, project)

    def _metadata_only(self, tree: Tree, built: Built) -> None:
        """Of a wheel that is not editable only the metadata is kept: the modules are those of the work tree."""
        with zipfile.ZipFile(io.BytesIO(built.wheel)) as wheel:
            for item in wheel.infolist():
                found = re.fullmatch(r"([\w.+!-]+\.dist-info)/([\w.-]+)", item.filename)
                if found and found[2] != "RECORD" and item.file_size < 4 << 20:
                    write_file(tree.packages / found[1] / found[2], wheel.read(item).decode(errors="replace"))

    def _path_file(self, tree: Tree, project: Project) -> None:
        at = f"/workspace/{project.folder}".rstrip("/")
        write_file(tree.packages / f"__penstock_{normal(project.name) or 'project'}.pth", f"{at}/src\n{at}\n")

    def _stand_in(self, tree: Tree, project: Project) -> None:
        """Metadata of a package that could not be built, with its name and version, so that it is found."""
        folder = f"{project.name.replace('-', '_')}-{self.options.version}.dist-info"
        text = f"Metadata-Version: 2.1\nName: {project.name}\nVersion: {self.options.version}\n"
        write_file(tree.packages / folder / "METADATA", text)
        self._path_file(tree, project)

    # everything that is fetched

    def _resolve(self, metadata: Sequence[str]) -> tuple[list[Pin], list[str]]:
        """The pins of all groups; of those that are not needed, the last are left out while they conflict."""
        lock = self.wanted.lock
        constraints = [f"{name}=={version}" for name, version in (lock.versions if lock else {}).items()
                       if name not in self.wanted.local]  # fmt: skip
        constraints += [*(lock.marked if lock else ()), *(item.text for item in self.wanted.constraints)]
        groups = list(self.wanted.groups)
        left_out: list[str] = []
        failure: FetchFailed | EnvironmentRefused | None = None
        for _ in range(_MOST_ROUNDS):
            listed = [item.text for group in groups for item in group.requirements]
            try:
                pins = self._with_usable_runner(_with_runner([*metadata, *listed]), constraints)
                if failure is not None:
                    self.notes.append(f"Left out because they conflict with the others or cannot be fetched: "
                                      f"{', '.join(left_out)} ({str(failure)[:300]}).")  # fmt: skip
                return checked(pins, lock), left_out
            except (FetchFailed, EnvironmentRefused) as error:
                failure = failure or error
                optional = [group for group in groups if not group.needed]
                if not optional or (isinstance(error, FetchFailed) and error.unreachable):
                    raise
                groups.remove(optional[-1])
                left_out.append(optional[-1].name)
        raise failure or FetchFailed("its requirements conflict")

    def _with_usable_runner(self, requirements: Sequence[str], constraints: list[str]) -> list[Pin]:
        """The pins; where they have a pytest that is too old for the code that runs tests, with the oldest usable."""
        pins = self.resolver.resolve(requirements, constraints)
        old = [pin for pin in pins if _is_older(pin, "pytest", "7.4") or _is_older(pin, "pluggy", "1.2")]
        if not old:
            return pins
        others = [text for text in constraints if not re.match(r"(pytest|pluggy)(?![\w.-])", text)]
        asked = ", ".join(pin.text for pin in old)
        self.notes.append(f"The project asks for {asked}; a newer one runs its tests, since Penstock needs pytest 7.4.")
        return self.resolver.resolve(requirements, others, ("pytest>=7.4,<8", "pluggy>=1.2"))


def _is_older(pin: Pin, name: str, than: str) -> bool:
    return pin.name == name and Version(pin.version) < Version(than)


def _with_runner(requirements: list[str]) -> list[str]:
    """The requirements with pytest, which runs all tests."""
    named = {name_of(text) for text in requirements}
    return requirements if "pytest" in named else [*requirements, _RUNNER]
