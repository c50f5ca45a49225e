"""Reads Cargo.toml and Cargo.lock as cargo does, as far as needed to find workspaces, their members and what cannot be
fetched. Nothing is run."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.environments.wanted import EnvironmentRefused

from .tree import SourceTree, folder_of

MANIFEST, LOCK = "Cargo.toml", "Cargo.lock"
_LEFT_OUT = re.compile(r"(^|/)(vendor|target|testdata|\.[^/]*)/")
_NOT_NESTED = re.compile(r"(^|/)(tests?|fuzz|benches|bench(marks?)?|examples?|fixtures|test[_-]data|ui)/")
"""Folders of a package whose own manifests are material of its tests, or programs of their own."""
_MOST_ROOTS, _MOST_MEMBERS, _MOST_MANIFESTS = 10, 500, 2_000
_CRATES_IO = ("registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/",
              "registry+sparse+https://index.crates.io/")  # fmt: skip
_EDITIONS = {"2021": "1.56", "2024": "1.85"}
_LOCKS = {3: "1.53", 4: "1.78"}
"""The first Rust that reads a lock file of this version."""
_SECTIONS = ("dependencies", "dev-dependencies", "build-dependencies", "dev_dependencies", "build_dependencies")


@dataclass(frozen=True)
class Package:
    """A package of the repository; `library` is the name of its library, empty for none."""

    folder: str
    name: str
    library: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Workspace:
    """A workspace, or a package alone; `whole` is whether a plain `cargo test` would leave out members on purpose."""

    folder: str
    manifest: Mapping[str, Any]
    members: tuple[Package, ...]

    @property
    def has_default(self) -> bool:
        return bool(_table(self.manifest, "workspace").get("default-members"))


def joined(folder: str, path: str) -> str:
    """A path below a folder, both relative to the root, in its shortest form."""
    found = os.path.normpath(f"{folder}/{path}" if folder else path)
    return "" if found == "." else found


def manifests(tree: SourceTree) -> list[str]:
    """All manifests but those of packages that were copied in, the nearest to the root first."""
    return [path for path in tree.named(MANIFEST) if not _LEFT_OUT.search(path)][:_MOST_MANIFESTS]


def find_workspaces(tree: SourceTree) -> tuple[list[Workspace], list[str]]:
    """The workspaces of a repository, and packages that belong to none and are left out."""
    found: list[Workspace] = []
    left: list[str] = []
    members: set[str] = set()
    for path in manifests(tree):
        folder = folder_of(path)
        around = [one for one in found if not one.folder or folder.startswith(f"{one.folder}/")]
        if folder in members or (around and _NOT_NESTED.search(f"{folder}/")):
            continue
        if any("workspace" in one.manifest for one in around):
            left.append(folder)
            continue
        manifest = read_toml(tree, path)
        if "package" not in manifest and "workspace" not in manifest:
            continue
        if len(found) >= _MOST_ROOTS:
            left.append(folder)
            continue
        made = Workspace(folder, manifest, tuple(_members(tree, folder, manifest)))
        members.update(one.folder for one in made.members)
        found.append(made)
    return found, left


def read_toml(tree: SourceTree, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(tree.text(path) or "")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        missing = f"what {path} declares, which is not valid TOML ({error})"
        raise EnvironmentRefused(missing, f"Repair {path}.") from error


def _members(tree: SourceTree, folder: str, manifest: Mapping[str, Any]) -> Iterator[Package]:
    workspace = manifest.get("workspace")
    queue = [folder] if "package" in manifest else []
    if isinstance(workspace, dict):
        patterns = [_pattern(joined(folder, str(one))) for one in _list(workspace, "members")]
        excluded = [joined(folder, str(one)) for one in _list(workspace, "exclude")]
        queue += [at for path in manifests(tree) if any(one.fullmatch(at := folder_of(path)) for one in patterns)]
        for path in _path_dependencies(workspace.get("dependencies")):
            queue.append(joined(folder, path))
    seen: set[str] = set()
    while queue and len(seen) < _MOST_MEMBERS:
        at = queue.pop(0)
        if at in seen or not tree.exists(joined(at, MANIFEST)) or not (at == folder or _inside(at, folder)):
            continue
        seen.add(at)
        if isinstance(workspace, dict) and at != folder and any(at == one or _inside(at, one) for one in excluded):
            continue
        content = manifest if at == folder else read_toml(tree, joined(at, MANIFEST))
        if at != folder and "workspace" in content:
            continue
        package = content.get("package")
        if isinstance(package, dict) and isinstance(package.get("name"), str):
            yield Package(at, package["name"], _library(tree, at, content), content)
        if isinstance(workspace, dict):  # what members depend on by path are members too
            for _, table in tables(content):
                queue += [joined(at, path) for path in _path_dependencies(table)]


def _inside(folder: str, outer: str) -> bool:
    return not outer or folder.startswith(f"{outer}/")


def _library(tree: SourceTree, folder: str, manifest: Mapping[str, Any]) -> str:
    library = manifest.get("lib")
    if not isinstance(library, dict) and not tree.exists(joined(folder, "src/lib.rs")):
        return ""
    name = library.get("name") if isinstance(library, dict) else None
    return str(name or manifest["package"]["name"]).replace("-", "_")


def _pattern(glob: str) -> re.Pattern[str]:
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(parts.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*|\?)", glob)))


def _table(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = manifest.get(name)
    return table if isinstance(table, dict) else {}


def _list(table: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = table.get(name)
    return value if isinstance(value, list) else ()


def tables(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each table of dependencies with its field."""
    for section in _SECTIONS:
        yield section, manifest.get(section)
    for name, target in _table(manifest, "target").items():
        for section in _SECTIONS if isinstance(target, dict) else ():
            yield f"target.{name}.{section}", target.get(section)
    for source, patches in _table(manifest, "patch").items():
        yield f"patch.{source}", patches
    yield "replace", manifest.get("replace")
    yield "workspace.dependencies", _table(manifest, "workspace").get("dependencies")


def _path_dependencies(table: object) -> Iterator[str]:
    for one in table.values() if isinstance(table, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("path"), str):
            yield one["path"]


def refuse_unfetchable(tree: SourceTree, workspace: Workspace) -> None:
    """Refuses paths outside of the repository, packages from git, and registries other than crates.io."""
    lock = joined(workspace.folder, LOCK)
    locked = tree.exists(lock)
    declared = {workspace.folder: workspace.manifest, **{one.folder: one.manifest for one in workspace.members}}
    for folder, manifest in declared.items():
        path = joined(folder, MANIFEST)
        for field, table in tables(manifest):
            for name, one in table.items() if isinstance(table, dict) else ():
                if not isinstance(one, dict):
                    continue
                place = one.get("path")
                if isinstance(place, str) and joined(folder, place).startswith(("..", "/")):
                    raise EnvironmentRefused(f"a package, {place}, outside the repository, which {path} names "
                                             f"({field}.{name})", "Name a released version of it there.")  # fmt: skip
                if "git" in one and not locked:
                    raise _from_git(name, f"{path} ({field}.{name})")
                if isinstance(one.get("registry"), str) and not locked:
                    raise _elsewhere(name, str(one["registry"]), f"{path} ({field}.{name})")
    for name, source in _locked(tree, lock) if locked else ():
        if source.startswith("git+"):
            raise _from_git(name, lock)
        if source and source not in _CRATES_IO:
            raise _elsewhere(name, source, lock)


def _from_git(name: str, where: str) -> EnvironmentRefused:
    return EnvironmentRefused(f"`{name}` from git, which {where} asks for and which cannot be fetched here",
                              "Name a released version of it, or copy it in with `cargo vendor`.")  # fmt: skip


def _elsewhere(name: str, registry: str, where: str) -> EnvironmentRefused:
    return EnvironmentRefused(f"`{name}` of the registry {registry[:200]}, which {where} asks for; only crates.io, or "
                              "a mirror of it, is used",
                              "Name a package of crates.io, or copy it in with `cargo vendor`.")  # fmt: skip


def _locked(tree: SourceTree, path: str) -> Iterator[tuple[str, str]]:
    """Each package of a lock file with its source, empty for one of the repository."""
    for package in _list(read_toml(tree, path), "package"):
        if isinstance(package, dict):
            yield str(package.get("name", "")), str(package.get("source", ""))


def least_version(tree: SourceTree, workspaces: Sequence[Workspace]) -> tuple[str, str]:
    """The oldest Rust that the manifests and lock files allow, and which file and field says so."""
    found: list[tuple[str, str]] = []
    for workspace in workspaces:
        shared = _table(_table(workspace.manifest, "workspace"), "package")
        for path, package in [(joined(workspace.folder, MANIFEST), shared), *(
            (joined(one.folder, MANIFEST), _table(one.manifest, "package")) for one in workspace.members
        )]:  # fmt: skip
            if isinstance(package.get("rust-version"), str):
                found.append((package["rust-version"], f"{path}, rust-version"))
            edition = str(package.get("edition"))
            if edition in _EDITIONS:
                found.append((_EDITIONS[edition], f"{path}, edition {edition}"))
        lock = joined(workspace.folder, LOCK)
        if tree.exists(lock):
            version = re.search(r"^version\s*=\s*(\d+)\s*$", (tree.text(lock) or "")[:2000], re.MULTILINE)
            if version and int(version[1]) in _LOCKS:
                found.append((_LOCKS[int(version[1])], f"{lock}, version {version[1]}"))
    return max(found, key=lambda item: numbers(item[0]), default=("", ""))


def numbers(version: str) -> tuple[int, ...]:
    """`1.75` as (1, 75, 0)."""
    found = [int(part) for part in re.findall(r"\d+", version.partition("-")[0])[:3]]
    return (*found, *[0] * (3 - len(found)))


def stubs(manifest: Mapping[str, Any]) -> set[str]:
    """The sources that cargo insists on when it reads this manifest: paths relative to its folder."""
    if "package" not in manifest:
        return set()
    package = _table(manifest, "package")
    found = {"src/lib.rs", "src/main.rs"}
    for kind, folder in (("bin", "src/bin"), ("example", "examples"), ("test", "tests"), ("bench", "benches")):
        for target in _list(manifest, kind):
            if isinstance(target, dict) and not isinstance(target.get("path"), str):
                name = str(target.get("name", ""))
                if re.fullmatch(r"[\w.-]+", name) and not (kind == "bin" and name == package.get("name")):
                    found.add(f"{folder}/{name}.rs")
    return found
