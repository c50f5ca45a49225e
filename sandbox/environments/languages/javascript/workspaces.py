"""Which packages of a repository have their tests run, and what is built before, where there are several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sandbox.environments.languages.tree import SourceTree

from .manifests import InstallRoot, Package
from .runners import Run, missing_outputs, runs_of
from .scripts import steps_of

_BUILD_SCRIPTS = ("build", "prepare", "compile", "prepack", "prepublishOnly")


def runs_in(root: InstallRoot, tree: SourceTree) -> list[Run]:
    """Those of the root where its script starts a runner, else those of its workspaces."""
    own, delegates = runs_of(root.package, tree)
    members: list[Run] = []
    if root.workspaces and (delegates or not own):
        for package in root.workspaces:
            members += runs_of(package, tree)[0]
    found = members or own
    if not root.workspaces:
        return found
    return [replace(run, builds=(*_builds_before(run, root, tree), *run.builds)) for run in found]


def _builds_before(run: Run, root: InstallRoot, tree: SourceTree) -> tuple[tuple[str, str], ...]:
    """Commands, by folder, that build the workspaces which a run's package depends on and whose code is not in the
    repository as it is used."""
    named = {package.name: package for package in root.workspaces if package.name}
    start = [package for package in root.packages if package.folder == run.folder]
    if run.folder == root.folder:
        start = list(root.packages)
    done: list[tuple[str, str]] = []
    for package in _in_order(start, named):
        if package.folder == run.folder or not missing_outputs(package, tree):
            continue
        for script in _BUILD_SCRIPTS:
            commands = [step.text for step in steps_of(package.scripts, script) if step.kind == "build"]
            if commands:
                done += [(package.folder, command) for command in commands]
                break
    return tuple(dict.fromkeys(done))


def _in_order(start: Sequence[Package], named: Mapping[str, Package]) -> Iterator[Package]:
    """The packages and those that they depend on, dependencies first."""
    seen: set[str] = set()

    def visit(package: Package) -> Iterator[Package]:
        if package.folder in seen:
            return
        seen.add(package.folder)
        for name in package.declared:
            if name in named:
                yield from visit(named[name])
        yield package

    for package in start:
        yield from visit(package)
