"""The pytest plugins that a repository's tests are run with: those that it declares and that are installed.

pytest's own automatic loading is off in the worker, so that what happens to be installed beside Penstock changes no
suite. A plugin counts as declared when its distribution is a requirement of the repository.
"""

from importlib import metadata

from assets.executions.repository.declared import Declared, normal

_LEFT_OUT = frozenset({"pytest-randomly", "pytest-random-order", "pytest-reverse", "pytest-sugar", "pytest-html"})
"""Plugins that change the order of tests, or only how they are reported."""
_OPTIONS = {"pytest-timeout": ("-o", "timeout=0")}
"""The worker has its own time limits; a plugin's limit for every test would replace them."""


def plugin_arguments(declared: Declared, required: str = "") -> tuple[str, ...]:
    """pytest arguments that load the declared plugins which are installed, and the project's own. `required` is
    pytest's setting `required_plugins`."""
    names = {normal(word.split("=")[0].rstrip("<>!~")) for word in required.split()} | set(declared.requirements)
    arguments: list[str] = []
    for distribution in sorted(names & _by_distribution().keys() - _LEFT_OUT):
        for plugin in _by_distribution()[distribution]:
            arguments += ["-p", plugin]
        arguments += _OPTIONS.get(distribution, ())
    for module in declared.plugins:
        arguments += ["-p", module]
    return tuple(arguments)


def is_installed(distribution: str) -> bool:
    """Whether a distribution is installed and provides pytest plugins."""
    return normal(distribution) in _by_distribution()


def _by_distribution() -> dict[str, list[str]]:
    """The names of the installed pytest plugins by their distribution."""
    found: dict[str, list[str]] = {}
    for point in metadata.entry_points(group="pytest11"):
        if point.dist is not None and point.name not in found.get(normal(point.dist.name), ()):
            found.setdefault(normal(point.dist.name), []).append(point.name)
    return found
