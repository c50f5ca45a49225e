"""The pytest plugins that a repository's tests are run with: those that it declares and that are installed.

pytest's own automatic loading is off in the worker, so that what happens to be installed beside Penstock changes no
suite. A plugin counts as declared when its distribution is a requirement of the repository; in the repository's own
environment, all are.
"""

import re

from assets.executions.repository.declared import Declared
from assets.executions.repository.installed import normal

_LEFT_OUT = frozenset({"pytest-randomly", "pytest-random-order", "pytest-reverse", "pytest-sugar", "pytest-html"})
"""Plugins that change the order of tests, or only how they are reported."""
_OPTIONS = {"pytest-timeout": ("-o", "timeout=0")}
"""The worker has its own time limits; a plugin's limit for every test would replace them."""


def plugin_arguments(declared: Declared, required: str = "") -> tuple[str, ...]:
    """pytest arguments that load the declared plugins which are installed, and the project's own. `required` is
    pytest's setting `required_plugins`."""
    installed = declared.installed
    wanted = {normal(re.split(r"[<>=!~]", word)[0]) for word in required.split()}
    names = wanted | (set(installed.plugins) if installed.own else set(declared.requirements))
    arguments: list[str] = []
    for distribution in sorted(names & installed.plugins.keys() - _LEFT_OUT):
        for plugin in installed.plugins[distribution]:
            arguments += ["-p", plugin]
        arguments += _OPTIONS.get(distribution, ())
    if normal(declared.name) not in installed.plugins:  # else loaded by the name of its entry point
        for module in declared.plugins:
            arguments += ["-p", module]
    return tuple(arguments)
