"""Finds what the tests of a repository need: which Python, which requirements, which of its packages to install.

A pure function of the repository's files and its `penstock.toml`; nothing is executed or fetched.
"""

import fnmatch
import posixpath
import re
from dataclasses import replace
from pathlib import Path

from sandbox.environments.wanted import (
    Declaration,
    EnvironmentRefused,
    Group,
    Lock,
    Project,
    Requirement,
    Wanted,
)

from .conda import conda_environment
from .files import Files, table, texts
from .imports import imported_modules
from .locks import find_lock, pipfile_lock
from .pyproject import Pyproject
from .requirement_files import Listed, inside, name_of, normal, requirement, requirement_file, requirement_lines
from .runners import DEV_WORDS, is_for_tests, nox_lines, tox_lines
from .setup_files import SetupFiles, setup_files

_MOST_PROJECTS = 40
_SETTINGS = "penstock.toml"


def find(
    root: Path,
    declaration: Declaration = Declaration(),  # noqa: B008 - immutable
    memory: Path | None = None,
) -> Wanted | None:
    """What the tests of the repository at `root` need; None when it declares nothing. `memory` is a folder in which
    what lock files say may be stored by their hash.

    Raises `EnvironmentRefused`, whose message names the file and field and says what to change."""
    return _Finder(root, declaration, memory).found()


class _Package:
    """The declarations of one package of the repository, in a folder relative to its root."""

    def __init__(self, files: Files, folder: str) -> None:
        self.folder = folder
        self.pyproject = Pyproject(files, folder)
        self.setup: SetupFiles = setup_files(files, folder)
        uv = table(self.pyproject.content, "tool", "uv")
        is_package = self.pyproject.poetry.get("package-mode") is not False and uv.get("package") is not False
        builds = "build-system" in self.pyproject.content or self.setup.exists
        self.installable = is_package and builds
        self.name = self.pyproject.name or self.setup.name
        self.declares = bool(self.pyproject.project or self.pyproject.poetry or self.setup.exists)

    def dependencies(self) -> list[Requirement]:
        return [*self.pyproject.dependencies(), *self.setup.dependencies]

    def project(self) -> Project:
        requires, backend, path = self.pyproject.build_requires()
        dynamic = self.setup.dynamic if self.setup.exists else self.pyproject.dynamic
        requires = tuple(dict.fromkeys((*requires, *self.setup.setup_requires)))
        dynamic = dynamic or "dependencies" in texts(self.pyproject.project.get("dynamic"))
        return Project(self.folder, self.name, requires, backend, path, dynamic=dynamic)


class _Finder:
    def __init__(self, root: Path, declaration: Declaration, memory: Path | None) -> None:
        self.files = Files(root, memory)
        self.declaration = declaration
        self.notes: list[str] = []
        self.constraints: list[Requirement] = []
        self.hashes: dict[str, frozenset[str]] = {}
        self.packages: dict[str, _Package] = {}
        self._waiting: list[str] = []
        self._done: set[str] = set()

    def found(self) -> Wanted | None:
        root = _Package(self.files, "")
        lock = find_lock(self.files)
        conda = conda_environment(self.files)
        needed: list[Group] = []
        self._waiting += self._declared_projects(root)
        needed += self._project_groups()
        pipfile = pipfile_lock(self.files) if lock is None else None
        if pipfile is not None:
            lock, listed, folders = pipfile
            needed.append(Group(lock.file, tuple(listed), needed=True))
            self._waiting += folders
        tests = self._declared_tests() if self.declaration.names_tests else self._found_tests(conda.lines, conda.file)
        needed += self._project_groups()
        groups = tuple(group for group in (*needed, *tests) if group.requirements)
        projects = tuple(self._projects())
        python, python_from, preferred = self._python(root, conda.python, conda.file)
        if not groups and not projects and lock is None and not python:
            return None
        own = frozenset(package.name for package in self.packages.values() if package.name)
        groups = tuple(self._without(group, own) for group in groups)
        if self.hashes:
            lock = lock or Lock("requirements files")
            lock = replace(lock, hashes={**lock.hashes, **self.hashes})
        self._refuse(groups, lock)
        return Wanted(
            python, python_from, preferred, groups, lock, projects, tuple(self.files.read), own,
            tuple(self.constraints), tuple(dict.fromkeys(self.notes)),
        )  # fmt: skip

    # the packages of the repository

    def _declared_projects(self, root: _Package) -> list[str]:
        if self.declaration.projects is not None:
            return [inside(path, _SETTINGS, "environment.projects") for path in self.declaration.projects]
        if root.declares:
            return [""]
        if any(self.files.text(name) is not None for name in ("requirements.txt", "Pipfile.lock")):
            return []
        inner = self._inner_packages()
        if len(inner) > 1:
            raise EnvironmentRefused(
                f"one of {len(inner)} packages ({', '.join(inner[:5])}{', …' if len(inner) > 5 else ''}), and the "
                "repository's root declares none",
                f'Name those to install in penstock.toml: `[environment]` with `projects = ["{inner[0]}"]`.',
            )
        return inner

    def _inner_packages(self) -> list[str]:
        """Folders with declarations of a package, one or two levels down."""
        found = set()
        for pattern in ("*/pyproject.toml", "*/setup.py", "*/*/pyproject.toml", "*/*/setup.py"):
            for path in sorted(self.files.root.glob(pattern))[:200]:
                folder = path.parent.relative_to(self.files.root).as_posix()
                if not re.search(r"(^|/)(\.|tests?|examples?|docs?|samples|benchmarks?|node_modules|venv)", folder):
                    found.add(folder)
        return sorted(folder for folder in found if not any(other != folder and folder.startswith(other + "/")
                                                            for other in found))  # fmt: skip

    def _project_groups(self) -> list[Group]:
        """What packages of the repository need to run: those found so far, and those that these name."""
        groups = []
        while self._waiting:
            folder = self._waiting.pop(0)
            if folder in self._done:
                continue
            self._done.add(folder)
            package = _Package(self.files, folder)
            if not package.declares:
                raise EnvironmentRefused(
                    f"the package in the folder {folder or '.'}, which declares none",
                    f"Add a pyproject.toml to {folder or '.'}, or name another folder.",
                )
            if len(self.packages) >= _MOST_PROJECTS:
                raise EnvironmentRefused(f"more than {_MOST_PROJECTS} packages of the repository",
                                         "Name fewer under `[environment] projects` in penstock.toml.")  # fmt: skip
            self.packages[folder] = package
            listed = package.dependencies()
            groups.append(Group(f"{package.pyproject.file if package.pyproject.content else 'setup files'}",
                                tuple(listed), needed=True))  # fmt: skip
            self._follow(package)
        return groups

    def _follow(self, package: _Package) -> None:
        """Notes the local packages that a package names."""
        file = package.pyproject.file
        for path in package.pyproject.local:
            self._waiting.append(inside(posixpath.join(package.folder, path), file, "a local dependency"))
        package.pyproject.local.clear()
        if package.pyproject.members:
            members = self._members()
            self._waiting += [members[name] for name in package.pyproject.members if name in members]
            package.pyproject.members.clear()
        self.notes += package.pyproject.notes
        package.pyproject.notes.clear()

    def _members(self) -> dict[str, str]:
        """Folders of the members of uv's workspace by name."""
        found: dict[str, str] = {}
        workspace = table(self.files.toml("pyproject.toml"), "tool", "uv", "workspace")
        excluded = texts(workspace.get("exclude"))
        for pattern in texts(workspace.get("members"))[:50]:
            if pattern.startswith("/") or ".." in pattern.split("/"):
                continue
            for path in sorted(self.files.root.glob(f"{pattern.rstrip('/')}/pyproject.toml"))[:200]:
                folder = path.parent.relative_to(self.files.root).as_posix()
                if not any(fnmatch.fnmatch(folder, e) for e in excluded):
                    found[Pyproject(self.files, folder).name] = folder
        return found

    def _projects(self) -> list[Project]:
        return [package.project() for package in self.packages.values() if package.installable]

    # what the tests need

    def _declared_tests(self) -> list[Group]:
        declared = self.declaration
        groups = []
        listed = tuple(requirement(text, _SETTINGS, "environment.requirements") for text in declared.requirements or ())
        groups.append(Group("declared requirements", listed, needed=True))
        for path in declared.files or ():
            groups.append(self._file(inside(path, _SETTINGS, "environment.files"), needed=True))
        for kind, names in (("extra", declared.extras or ()), ("group", declared.groups or ())):
            known = self._extras() if kind == "extra" else self._groups()
            for name in names:
                if normal(name) not in known:
                    raise EnvironmentRefused(
                        f"the {kind} {name!r}, which penstock.toml (environment.{kind}s) names and no package declares",
                        f"Name one of {', '.join(sorted(known)) or 'those that exist: there is none'}.",
                    )
                groups.append(Group(f"{kind} {name}", tuple(known[normal(name)]), needed=True))
        return groups

    def _extras(self) -> dict[str, list[Requirement]]:
        return self._of_packages("extras")

    def _groups(self) -> dict[str, list[Requirement]]:
        return self._of_packages("groups")

    def _of_packages(self, kind: str) -> dict[str, list[Requirement]]:
        """Extras or dependency groups of all packages of the repository by name."""
        found: dict[str, list[Requirement]] = {}
        for package in self.packages.values():
            named = (
                [package.pyproject.groups()] if kind == "groups" else [package.pyproject.extras(), package.setup.extras]
            )
            for listed in named:
                for name, items in listed.items():
                    found.setdefault(name, []).extend(items)
            self._follow(package)
        return found

    def _found_tests(self, conda: list[str], conda_file: str) -> list[Group]:
        """Requirements that look as if they were for tests; those for development where there are none."""
        extras, named = self._extras(), self._groups()
        groups = [Group(f"group {n}", tuple(named[n])) for n in named if is_for_tests(n)]
        groups += [Group(f"extra {n}", tuple(extras[n])) for n in extras if is_for_tests(n)]
        groups.append(Group("tests_require", tuple(r for p in self.packages.values() for r in p.setup.tests)))
        files = self._requirement_files()
        groups += [self._file(path) for path in files if is_for_tests(path.replace("/", "-"))]
        groups.append(self._lines("tox", tox_lines(self.files), extras))
        groups.append(self._lines("nox", nox_lines(self.files), extras))
        if not any(group.requirements for group in groups):
            groups += [Group(f"group {n}", tuple(named[n])) for n in named if n in DEV_WORDS]
            groups += [Group(f"extra {n}", tuple(extras[n])) for n in extras if n in DEV_WORDS]
            groups += [self._file(path) for path in files if DEV_WORDS & set(re.split(r"[-_./]", path.lower()))]
        base = [self._file(path, needed=not self.packages) for path in files if _is_base(path)]
        if conda and not any(group.requirements for group in (*groups, *base)):
            base.append(self._lines("conda", [(line, conda_file, "dependencies") for line in conda], extras))
        groups = [*base, *(group for group in groups if group.requirements)]
        return [
            *groups,
            self._imported(groups, [item for items in (*extras.values(), *named.values()) for item in items]),
        ]

    def _imported(self, chosen: list[Group], declared: list[Requirement]) -> Group:
        """Requirements of further extras and groups whose module some file of the repository imports: tests of optional
        features need them."""
        have = {name_of(item.text) for group in chosen for item in group.requirements}
        others = {name_of(item.text): item for item in declared if name_of(item.text) not in have}
        modules = imported_modules(self.files.root) if others else frozenset()
        names = {name for module in modules for name in (module, f"python-{module}", f"py{module}")}
        return Group("imports", tuple(item for name, item in others.items() if name in names))

    def _requirement_files(self) -> list[str]:
        found = [path for folder in ("", "requirements", "tests", "test", "ci", "reqs")
                 for path in self.files.names(folder)
                 if path.endswith(".txt") and (folder in ("requirements", "reqs") or "require" in path)]  # fmt: skip
        return found[:60]

    def _file(self, path: str, *, needed: bool = False) -> Group:
        listed = requirement_file(self.files, path, None if needed else self.notes)
        return self._group(path, listed, path, needed=needed)

    def _lines(self, name: str, lines: list[tuple[str, str, str]], extras: dict[str, list[Requirement]]) -> Group:
        return self._group(name, requirement_lines(self.files, lines, self.notes), name, extras=extras)

    def _group(
        self, name: str, listed: Listed, file: str, *, needed: bool = False,
        extras: dict[str, list[Requirement]] | None = None,
    ) -> Group:  # fmt: skip
        """The group of what a file lists; local folders become packages, and their extras part of the group."""
        found = list(listed.requirements)
        self.constraints += listed.constraints
        self.hashes.update(listed.hashes)
        for folder, wanted in listed.local:
            if folder not in self.packages and _Package(self.files, folder).declares:
                self._waiting.append(folder)
            known = self._extras() if extras is None else extras
            found += [item for extra in wanted for item in known.get(normal(extra), ())]
        return Group(name, tuple(dict.fromkeys(found)), needed=needed)

    def _without(self, group: Group, local: frozenset[str]) -> Group:
        """A group without the repository's own packages, which are installed from its files."""
        kept = []
        for item in group.requirements:
            if name_of(item.text) not in local:
                kept.append(item)
        return Group(group.name, tuple(kept), group.needed)

    def _refuse(self, groups: tuple[Group, ...], lock: Lock | None) -> None:
        """Raises `EnvironmentRefused` for a requirement that the lock takes from no registry."""
        for item in (item for group in groups for item in group.requirements if lock and group.needed):
            name = name_of(item.text)
            if lock and name in lock.refused:
                raise EnvironmentRefused(f"`{name}`, but {lock.refused[name]}",
                                         "Name a released version of it under `[environment] requirements` in "
                                         "penstock.toml.")  # fmt: skip

    # Python

    def _python(self, root: _Package, conda: str, conda_file: str) -> tuple[str, str, str]:
        """The specifier of the Python that is needed, where it is declared, and the one that is preferred."""
        preferred = ""
        if pinned := re.search(r"^\s*(?:cpython-|python-)?(\d+\.\d+)(?:\.\d+)?\s*$",
                               self.files.text(".python-version") or "", re.MULTILINE):  # fmt: skip
            preferred = f"=={pinned[1]}.*"
        if self.declaration.python:
            text = self.declaration.python
            return (f"=={text}.*" if re.fullmatch(r"\d+\.\d+", text) else text), "penstock.toml: environment.python", ""
        for package in (root, *self.packages.values()):
            specifier, field = package.pyproject.python
            if specifier:
                return specifier, f"{package.pyproject.file}: {field}", preferred
            if package.setup.python:
                return package.setup.python, package.setup.python_from, preferred
        if preferred:
            return preferred, ".python-version", ""
        return (conda, f"{conda_file}: python", "") if conda else ("", "", "")


def _is_base(path: str) -> bool:
    """Whether a requirements file is for the program itself."""
    return path == "requirements.txt" or bool(re.fullmatch(r"(requirements|reqs)/(base|main|common|prod\w*|install|"
                                                           r"requirements)\.txt", path))  # fmt: skip
