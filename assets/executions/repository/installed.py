"""The distributions that tests are run with: those of the repository's own environment, or those beside Penstock."""

import functools
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from sandbox.environments.find.requirement_files import normal

__all__ = ["Installed", "beside_penstock", "in_environment", "normal"]


@dataclass(frozen=True)
class Installed:
    """`versions` by normalised name of the distribution, `modules` the distributions of each top-level module,
    `plugins` the names of pytest plugins by distribution. `own` tells whether it is the repository's own environment.
    """

    versions: dict[str, str] = field(default_factory=dict)
    modules: dict[str, list[str]] = field(default_factory=dict)
    plugins: dict[str, list[str]] = field(default_factory=dict)
    python: str = field(default_factory=platform.python_version)
    own: bool = False

    @property
    def place(self) -> str:
        """Where further packages are to be installed, to complete a sentence."""
        return "by `requirements` under `[environment]` in penstock.toml" if self.own else "beside Penstock"

    def remedy(self, requirement: str) -> str:
        """A sentence that says how to install a distribution."""
        if self.own:
            return f'Write `requirements = ["{requirement}"]` under `[environment]` in penstock.toml.'
        quoted = f"'{requirement}'" if any(c in requirement for c in "<>=!~;") else requirement
        return f"Install it beside Penstock with `.venv/bin/pip install {quoted}`."


def beside_penstock() -> Installed:
    """What is installed beside Penstock."""
    return _installed(metadata.distributions(), metadata.packages_distributions())


@functools.lru_cache(maxsize=16)
def in_environment(site_packages: Path, python: str) -> Installed:
    """What is installed in an environment, read from its metadata; nothing there is imported."""
    found = list(metadata.distributions(path=[str(site_packages)]))
    modules: dict[str, list[str]] = {}
    for one in found:
        for path in (one.files or ())[:20_000]:
            top = path.parts[0].split(".")[0] if path.parts else ""
            if path.suffix in (".py", ".so") and top.isidentifier() and one.name not in modules.get(top, ()):
                modules.setdefault(top, []).append(one.name)
    return _installed(found, modules, python, own=True)


def _installed(
    distributions: Iterable[metadata.Distribution],
    modules: Mapping[str, list[str]],
    python: str = "",
    *,
    own: bool = False,
) -> Installed:
    versions: dict[str, str] = {}
    plugins: dict[str, list[str]] = {}
    for one in distributions:
        name = one.metadata["Name"]
        if not name:
            continue
        versions.setdefault(normal(name), one.version)
        for point in one.entry_points:
            if point.group == "pytest11" and point.name not in plugins.get(normal(name), ()):
                plugins.setdefault(normal(name), []).append(point.name)
    return Installed(versions, dict(modules), plugins, python or platform.python_version(), own)
