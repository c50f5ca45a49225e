"""The packages of a repository: their package.json, which of them are installed together, and which share one lock."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from sandbox.environments.languages.tree import SourceTree, folder_of
from sandbox.environments.wanted import EnvironmentRefused

MOST_PACKAGES = 400
MOST_ROOTS = 8
_MOST_YAML = 1 << 20
_LEFT_OUT = re.compile(
    r"(^|/)(__fixtures__|fixtures?|testdata|__mocks__|templates?|examples?|demos?|samples?|playgrounds?|docs?|website|"
    r"benchmarks?|bench|e2e|vendor|third_party|dist|\.[^/]+)/"
)
"""Folders whose packages are no part of the repository's own, unless a workspace names them."""
_ASIDE = re.compile(
    r"(^|/)(docs?|documentation|website|site|www|examples?|demos?|samples?|playgrounds?|bench(marks?)?)(/|$)"
)
LOCKS = {
    "npm-shrinkwrap.json": "npm",
    "package-lock.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
}
DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")


@dataclass(frozen=True)
class Package:
    """A package.json; `folder` is relative to the root of the repository, "" for it."""

    folder: str
    content: Mapping[str, Any] = field(repr=False)

    @property
    def path(self) -> str:
        return joined(self.folder, "package.json")

    @property
    def name(self) -> str:
        return str(self.content.get("name") or "")

    @property
    def scripts(self) -> dict[str, str]:
        return texts(self.content.get("scripts"))

    @property
    def declared(self) -> dict[str, str]:
        """All packages that it depends on, in whatever way."""
        return {name: text for kind in DEPENDENCIES for name, text in texts(self.content.get(kind)).items()}


@dataclass(frozen=True)
class InstallRoot:
    """A package with those of its workspaces: installed together, by `manager`. `lock` is the lock file's path, empty
    for none."""

    package: Package
    workspaces: tuple[Package, ...]
    manager: str
    lock: str

    @property
    def folder(self) -> str:
        return self.package.folder

    @property
    def packages(self) -> tuple[Package, ...]:
        return (self.package, *self.workspaces)


def joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def texts(value: object) -> dict[str, str]:
    """The entries of an object whose values are strings."""
    return {str(k): v for k, v in value.items() if isinstance(v, str)} if isinstance(value, Mapping) else {}


def read_package(tree: SourceTree, path: str) -> Package | None:
    """None for a file that is no object. Raises `EnvironmentRefused` for one at the root that is no JSON."""
    try:
        content = json.loads(tree.text(path) or "{}")
    except (ValueError, RecursionError) as error:
        if "/" in path:
            return None
        raise EnvironmentRefused(f"what {path} declares, which is no JSON: {error}", f"Repair {path}.") from error
    return Package(folder_of(path), content) if isinstance(content, dict) else None


def read_yaml(tree: SourceTree, path: str) -> dict[str, Any]:
    """A YAML file that holds a mapping; empty when it is not there. Raises `EnvironmentRefused`."""
    text = tree.text(path) or ""
    try:
        found = yaml.safe_load(text) if len(text) <= _MOST_YAML else None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise EnvironmentRefused(f"what {path} declares, which cannot be read: {str(error)[:200]}",
                                 f"Repair {path}.") from error  # fmt: skip
    return found if isinstance(found, dict) else {}


def unneeded(root: InstallRoot, tested: set[str]) -> list[str]:
    """The folders of workspaces such as documentation and examples that have no tests, and that no other needs."""
    needed = tested | {name for package in root.packages for name in package.declared}
    aside = [package for package in root.workspaces if _ASIDE.search(package.folder)]
    return [package.folder for package in aside if package.folder not in needed and package.name not in needed]


def install_roots(tree: SourceTree) -> list[InstallRoot]:
    """The packages that are installed by themselves: the one at the root, and those that no other holds as workspace,
    the nearest to the root first. Raises `EnvironmentRefused`."""
    paths = list(tree.named("package.json"))[: MOST_PACKAGES * 5]
    found: list[InstallRoot] = []
    taken: set[str] = set()
    for path in paths:
        folder = folder_of(path)
        if folder in taken or (folder and _LEFT_OUT.search(f"{folder}/")) or len(found) >= MOST_ROOTS:
            continue
        package = read_package(tree, path)
        if package is None:
            continue
        root = _install_root(tree, package, paths)
        inside_another = any(not one.folder or folder.startswith(f"{one.folder}/") for one in found)
        if inside_another and not root.lock:
            continue
        taken |= {one.folder for one in root.packages}
        found.append(root)
    return found


def _install_root(tree: SourceTree, package: Package, paths: list[str]) -> InstallRoot:
    lock = next((joined(package.folder, name) for name in _preferred(package)
                 if tree.exists(joined(package.folder, name))), "")  # fmt: skip
    patterns = _workspace_patterns(tree, package)
    members = _members(package.folder, patterns, paths)
    workspaces = [one for path in members if (one := read_package(tree, path)) is not None]
    manager = LOCKS.get(lock.rpartition("/")[2]) or _named_manager(tree, package)
    return InstallRoot(package, tuple(workspaces[:MOST_PACKAGES]), manager, lock)


def _preferred(package: Package) -> list[str]:
    """The names of lock files, those of the manager that the package names first."""
    named = str(package.content.get("packageManager") or "").partition("@")[0]
    return sorted(LOCKS, key=lambda name: (LOCKS[name] != named, list(LOCKS).index(name)))


def _named_manager(tree: SourceTree, package: Package) -> str:
    named = str(package.content.get("packageManager") or "").partition("@")[0]
    if tree.exists(joined(package.folder, "pnpm-workspace.yaml")):
        return "pnpm"
    return named if named in ("pnpm", "yarn") else "npm"


def _workspace_patterns(tree: SourceTree, package: Package) -> list[str]:
    declared = package.content.get("workspaces")
    if isinstance(declared, Mapping):
        declared = declared.get("packages")
    own = [*declared] if isinstance(declared, list) else []
    listed = read_yaml(tree, joined(package.folder, "pnpm-workspace.yaml")).get("packages")
    own += listed if isinstance(listed, list) else []
    return [re.sub(r"^\./|/$", "", text) for text in own if isinstance(text, str)]


def _members(folder: str, patterns: list[str], paths: list[str]) -> Iterator[str]:
    """The package.json files of the folders that match; a pattern that begins with `!` leaves out."""
    wanted = [_as_regex(text) for text in patterns if not text.startswith("!")]
    refused = [_as_regex(text[1:].removeprefix("./")) for text in patterns if text.startswith("!")]
    for path in paths:
        at = folder_of(path)
        inside = at.removeprefix(f"{folder}/") if folder else at
        if not inside or (folder and not at.startswith(f"{folder}/")):
            continue
        if any(one.fullmatch(f"{inside}/") for one in wanted) and not any(
            one.fullmatch(f"{inside}/") for one in refused
        ):
            yield path


def _as_regex(pattern: str) -> re.Pattern[str]:
    """For folders that end in a slash, from a glob in which `*` stays within one folder and `**` does not."""
    text = ""
    for part in [part for part in pattern.split("/") if part and part != "."][:20]:
        if part == "**":
            text += "(?:[^/]+/)*"
            continue
        braces = re.fullmatch(r"([^{]*)\{([^{}]*)\}(.*)", part)
        names = [braces[1] + one + braces[3] for one in braces[2].split(",")] if braces else [part]
        globs = [re.escape(name).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") for name in names]
        text += f"(?:{'|'.join(globs)})/"
    return re.compile(text)
