"""Packages that have no wheel for this Python: their source distributions are fetched, and built in the sandbox.

uv unpacks a source distribution into its cache before it refuses to build it, and checks its hash; from there it is
taken. Its requirements become known when its wheel is built.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox.protocol import Sandbox

from .build import BuildFailed, Built, build
from .find.files import Files
from .find.pyproject import Pyproject
from .find.setup_files import setup_files
from .install import Tree
from .resolve import Pin, Resolver
from .wanted import FetchFailed, Project

_MOST_SOURCES = 12
_FETCH_SECONDS = 180.0


@dataclass
class SourceBuilder:
    """Resolves like `Resolver`, and builds wheels of packages that have none. `build_tree` makes an environment with a
    build's requirements."""

    resolver: Resolver
    sandbox: Sandbox
    scratch: Path
    build_tree: Callable[[Sequence[str]], Tree]
    log: list[str]
    _built: dict[str, str] = field(default_factory=dict)

    @property
    def wheels(self) -> tuple[Path, ...]:
        return self.resolver.wheels

    def resolve(
        self, requirements: Sequence[str], constraints: Sequence[str] = (), overrides: Sequence[str] = ()
    ) -> list[Pin]:
        """The pins of everything needed, as `Resolver.resolve`. Raises `FetchFailed`, `EnvironmentRefused` and
        `SandboxUnavailable`."""
        for _ in range(_MOST_SOURCES):
            try:
                return self.resolver.resolve(requirements, constraints, overrides)
            except FetchFailed as failure:
                missing = [name for name in failure.sdists if name not in self._built]
                if not missing or failure.unreachable:
                    raise
                for name in missing[:_MOST_SOURCES]:
                    self._build(name, [*requirements, *constraints])
        raise FetchFailed(f"more than {_MOST_SOURCES} packages have no wheel for this Python")

    def _build(self, name: str, requirements: Sequence[str]) -> None:
        """Builds one package's wheel. Raises `FetchFailed`."""
        same = [
            text for text in requirements if re.match(rf"{name.replace('-', '[-_.]+')}(?![\w.-])", text, re.IGNORECASE)
        ]
        pin = self.resolver.source(same[0] if same else name)
        self._built[name] = pin.version
        key = hashlib.sha256(f"{pin.hashes} {self.resolver.interpreter.release}".encode()).hexdigest()[:32]
        folder = self.resolver.uv.cache.parent / "built-wheels" / key
        if not folder.is_dir():
            self._make(pin, folder)
        self.resolver = replace(self.resolver, wheels=(*self.resolver.wheels, folder))

    def _make(self, pin: Pin, folder: Path) -> None:
        source = fetch_source(self.resolver, pin, self.scratch)
        files = Files(source)
        requires, backend, path = Pyproject(files).build_requires()
        requires = tuple(dict.fromkeys((*requires, *setup_files(files).setup_requires)))
        project = Project("", pin.name, requires, backend, path)
        try:
            built = self._wheel(source, project, pin)
        except BuildFailed as failure:
            raise FetchFailed(
                f"{pin.text} has no wheel for this Python, and building it failed: {failure}"
            ) from failure
        self.log.append(f"# build of {pin.text}\n{built.log}")
        making = self.scratch / f"wheel-{pin.name}"
        making.mkdir()
        (making / built.name).write_bytes(built.wheel)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copytree(making, staged := folder.with_name(f".{folder.name}-{id(making)}"))
            staged.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise

    def _wheel(self, source: Path, project: Project, pin: Pin) -> Built:
        requires = project.build_requires
        for _ in range(3):
            tree = self.build_tree(requires)
            built = build(self.sandbox, source, project, tree, editable=False, version=pin.version)
            if not built.requires:
                return built
            requires = (*requires, *built.requires)
        raise BuildFailed(f"the backend {project.backend} keeps asking for more requirements")


def fetch_source(resolver: Resolver, pin: Pin, scratch: Path) -> Path:
    """The unpacked source distribution of a pin that `Resolver.source` gave, in the folder `scratch`. Runs none of its
    code. Raises `FetchFailed`."""
    cache, folder = scratch / f"source-{pin.name}", scratch / f"fetch-{pin.name}"
    uv = replace(resolver.uv, cache=cache)
    folder.mkdir()
    (folder / "requirements.in").write_text(f"{pin.name} @ {pin.sdist}#sha256={pin.hashes[0]}\n")
    arguments = ["pip", "compile", "requirements.in", "--no-deps", "--no-build", "--quiet", "--python",
                 str(resolver.interpreter.path)]  # fmt: skip
    refusal = ""
    try:
        uv.run(arguments, _FETCH_SECONDS, folder, resolver.interpreter, readable=resolver.wheels)
    except FetchFailed as failure:
        if failure.unreachable or "ismatch" in str(failure):
            raise
        refusal = str(failure)
    found = [path for path in cache.glob("sdists-v*/*/*/*/src") if path.is_dir()]
    if not found:
        raise FetchFailed(f"the source distribution of {pin.text} could not be fetched: {refusal}")
    return found[0]
