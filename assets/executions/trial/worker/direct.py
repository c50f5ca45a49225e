"""Calls simple tests without pytest's hooks, which cost more than most tests.

A test is simple when its function, its parameters and simple fixtures (`direct_fixtures`) alone decide what happens: it
has no mark that steers it, and no plugin beside pytest's own takes part. That it then ends as with the hooks is tried
before it is relied on (`Trials`). All other tests run through the hooks.
"""

import inspect
import sys
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from _pytest import assertion
from _pytest.assertion import util

from .direct_fixtures import Made, steps_of

Call = Callable[[], object]
_STEERING = frozenset({"skip", "skipif", "xfail", "usefixtures", "filterwarnings"})
"""Marks that pytest itself acts on."""
_HOOKS = (
    "pytest_runtest_protocol",
    "pytest_runtest_setup",
    "pytest_runtest_call",
    "pytest_runtest_teardown",
    "pytest_pyfunc_call",
    "pytest_fixture_setup",
)
_HARMLESS = ("_pytest", __package__, "anyio.pytest_plugin")
"""Where implementations of these hooks may come from: what anyio does concerns coroutines, which are not simple."""
_CLASS_FIXTURE = "_unittest_setUpClass_fixture"


class Direct:
    """The simple tests of one session."""

    def __init__(self, config: pytest.Config) -> None:
        self._possible = _only_pytest_acts(config) and not _warnings_are_errors(config)
        self._calls: dict[str, Call | None] = {}

    def call_of(self, item: pytest.Item) -> Call | None:
        """What runs a simple test; None for any other."""
        if item.nodeid not in self._calls:
            try:
                call = _call_of(item) if self._possible else None
                self._calls[item.nodeid] = None if call is None else _explained(item, call)
            except Exception:  # another version of pytest, or objects of the repository that answer oddly
                self._calls[item.nodeid] = None
        return self._calls[item.nodeid]

    def refuse(self, item: pytest.Item) -> None:
        """Notes that a test does not end as with the hooks."""
        self._calls[item.nodeid] = None


def _explained(item: pytest.Item, call: Call) -> Call:
    """The call, with comparisons explained as pytest does while the item runs."""
    before = util._reprcompare
    steps = assertion.pytest_runtest_protocol(item)
    next(steps)
    explain = util._reprcompare
    steps.close()
    util._reprcompare = before

    def explained() -> None:
        util._reprcompare = explain
        call()

    return explained


def _only_pytest_acts(config: pytest.Config) -> bool:
    for name in _HOOKS:
        for implementation in getattr(config.hook, name).get_hookimpls():
            module = str(getattr(implementation.function, "__module__", ""))
            if not any(module == one or module.startswith(f"{one}.") for one in _HARMLESS if one):
                return False
    return True


def _warnings_are_errors(config: pytest.Config) -> bool:
    given = [*config.getini("filterwarnings"), *(config.known_args_namespace.pythonwarnings or ())]
    return any(str(line).split(":", 1)[0].strip() == "error" for line in given)


def _call_of(item: pytest.Item) -> Call | None:
    if not isinstance(item, pytest.Function) or any(mark.name in _STEERING for mark in item.iter_markers()):
        return None
    info = item._fixtureinfo
    parameters = _parameters(item)
    fixtures = [name for name in info.names_closure if name != "request" and name not in parameters]
    if type(item).__name__ == "TestCaseFunction":
        harmless = all(name.startswith(_CLASS_FIXTURE) for name in fixtures)
        return _unittest_call(item) if harmless and not info.argnames else None
    owner, name = item.cls, item.originalname
    if type(item) is not pytest.Function or _waits(item.function):
        return None
    if owner is not None and isinstance(vars(owner).get(name), staticmethod | classmethod):
        return None
    steps = steps_of(fixtures, info.name2fixturedefs, parameters)
    function = item.function if owner is None else _on_new_object(owner, name)
    wanted = tuple(info.argnames)
    if not steps:
        return lambda: function(**{name: parameters[name] for name in wanted})

    def call() -> None:
        with Made(steps, parameters) as values:
            function(**{name: values[name] for name in wanted})

    return call


def _on_new_object(owner: Any, name: str) -> Callable[..., object]:
    """Calls a method on an object of its own each time."""

    def call(**given: Any) -> object:
        return getattr(owner(), name)(**given)

    return call


def _parameters(item: pytest.Function) -> dict[str, Any]:
    """The values that a test is parametrised with itself, not through a fixture."""
    spec = getattr(item, "callspec", None)
    if spec is None:
        return {}
    found = dict(getattr(spec, "funcargs", None) or {})  # pytest 7
    for name, value in spec.params.items():
        definitions = item._fixtureinfo.name2fixturedefs.get(name, ())
        if definitions and definitions[-1].func.__name__ == "get_direct_param_fixture_func":
            found[name] = value
    return found


def _waits(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function)


def _unittest_call(item: pytest.Function) -> Call | None:
    """The steps of a test case's method; None if its class does something about classes, runs or skips."""
    owner, name = item.cls, item.name
    if owner is None or not issubclass(owner, unittest.TestCase):
        return None
    plain: Any = unittest.TestCase
    waiting = getattr(sys.modules.get("unittest.async_case"), "IsolatedAsyncioTestCase", ())
    method = getattr(owner, name)
    if (
        issubclass(owner, waiting)
        or any(getattr(owner, one) is not getattr(plain, one) for one in ("run", "__call__", "debug", "doCleanups"))
        or any(
            getattr(getattr(owner, one), "__func__", None) is not getattr(plain, one).__func__
            for one in ("setUpClass", "tearDownClass", "doClassCleanups")
        )
        or any(
            getattr(one, mark, False)
            for one in (owner, method)
            for mark in ("__unittest_skip__", "__unittest_expecting_failure__")
        )
        or _waits(method)
    ):
        return None

    def call() -> None:
        case = owner(name)
        try:
            case.setUp()
            try:
                getattr(case, name)()
            finally:
                case.tearDown()
        finally:
            case.doCleanups()

    return call
