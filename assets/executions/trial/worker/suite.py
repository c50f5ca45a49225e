"""One pytest session held in memory: collect once, then run items one by one, with or without reports.

`unittest` cases run through pytest as well. A collection error counts as a failing test whose id is
the id of what could not be collected.
"""

import inspect
import re
import sys
from collections.abc import Generator, Iterable
from types import TracebackType
from typing import Any

import pytest
from _pytest.config import _prepareconfig
from _pytest.main import Session
from _pytest.runner import CallInfo, runtestprotocol
from _pytest.tmpdir import tmppath_result_key

from .alarm import Alarm, Hang
from .clock import clock
from .collecting import Guard
from .direct import Call, Direct
from .instrument import relative_path
from .raised import raised
from .turns import Turns

Failure = dict[str, Any]
MESSAGE_CHARACTERS = 3000
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_ASYNC_PLUGINS = ("asyncio", "anyio", "pytest_asyncio", "pytest-asyncio", "trio")


def describe(
    error: BaseException, root: str, when: str, compare: list[str] | None = None, *, thorough: bool = True
) -> Failure:
    """A failure as data: type, message, and the frames inside the repository, innermost last; when `thorough`, with
    what `raised` knows about it."""
    frames: list[tuple[str, int, str]] = []
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain and len(chain) < 4:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    for link in reversed(chain[:1] + [c for c in chain[1:] if type(c).__name__ != "Hang"]):
        frames.extend(_frames(link.__traceback__, root))
    cause = chain[-1]
    if isinstance(cause, SyntaxError) and cause.filename:
        path = relative_path(cause.filename, root)
        if path is not None:
            frames.append((path, cause.lineno or 1, "<syntax>"))
    try:
        message = str(error)
    except Exception as broken:
        message = f"<{type(broken).__name__} in __str__>"
    failure: Failure = {
        "type": type(error).__name__,
        "message": message[:MESSAGE_CHARACTERS],
        "frames": frames[:10] + frames[-30:] if len(frames) > 40 else frames,
        "when": when,
    }
    if len(chain) > 1:
        failure["cause"] = f"{type(chain[1]).__name__}: {chain[1]}"[:500]
    if compare:
        failure["compare"] = compare
    if thorough:
        try:
            failure["raised"] = raised(error, root)
        except Exception:
            failure["raised"] = []  # an exception whose own methods fail
    return failure


def _frames(trace: TracebackType | None, root: str) -> list[tuple[str, int, str]]:
    found = []
    steps = 0
    while trace is not None and steps < 5000:
        path = relative_path(trace.tb_frame.f_code.co_filename, root)
        if path is not None:
            found.append((path, trace.tb_lineno, trace.tb_frame.f_code.co_name))
        trace = trace.tb_next
        steps += 1
    return found


def signature(failure: Failure) -> str:
    """Identifies a failure: type, message without addresses, file and function of the innermost frame."""
    where = failure["frames"][-1] if failure["frames"] else ("", 0, "")
    return f"{failure['type']}|{_ADDRESS.sub('0x', failure['message'])[:400]}|{where[0]}|{where[2]}"


class _Plugin:
    """Stores the exceptions behind pytest's reports, runs coroutine tests, and replaces the run protocol."""

    def __init__(self, root: str, guard: Guard) -> None:
        self.root = root
        self._guard = guard
        self.failures: list[Failure] = []
        self.collect_errors: dict[str, Failure] = {}
        self.compare: list[str] | None = None
        self.quick = False
        self.outcome = "passed"
        self.async_natively = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        self.failures, self.outcome, self.compare = [], "passed", None
        if self.quick and item.get_closest_marker("xfail") is None:
            self._quickly(item)
        else:
            self._fully(item, nextitem)
        return True

    def _fully(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            if report.failed:
                self.outcome = "failed" if report.when == "call" and self.outcome != "error" else "error"
                if not self.failures:
                    text = str(report.longrepr)[-MESSAGE_CHARACTERS:]
                    self.failures.append({"type": "Failed", "message": text, "frames": [], "when": report.when})
            elif report.skipped and self.outcome == "passed":
                self.outcome = "skipped"
        if self.outcome == "passed" and self.failures:
            self.outcome = "failed"  # a subtest failed
        if self.outcome in ("passed", "skipped"):
            self.failures = []

    def directly(self, call: Call) -> None:
        """A simple test, without pytest's hooks."""
        self.failures, self.outcome, self.compare = [], "passed", None
        try:
            call()
        except pytest.skip.Exception:
            self.outcome = "skipped"
        except BaseException as error:
            self.outcome = "failed"
            self.failures.append(describe(error, self.root, "call", self.compare, thorough=False))

    def _quickly(self, item: pytest.Item) -> None:
        """Set-up, call and tear-down without building reports, which cost more than most tests."""
        hook = item.ihook
        if hasattr(item, "_request") and not item._request:
            item._initrequest()  # type: ignore[attr-defined]
        item.stash.setdefault(tmppath_result_key, {})  # what tmp_path's tear-down expects of a report
        call = CallInfo.from_call(lambda: hook.pytest_runtest_setup(item=item), when="setup")
        if call.excinfo is None:
            call = CallInfo.from_call(lambda: hook.pytest_runtest_call(item=item), when="call")
        after = CallInfo.from_call(lambda: hook.pytest_runtest_teardown(item=item, nextitem=None), when="teardown")
        if hasattr(item, "_request"):
            item._request = False
            item.funcargs = None  # type: ignore[attr-defined]
        # unittest keeps a test's exception on the item instead of raising it.
        kept = item.__dict__.pop("_excinfo", None)
        for excinfo in ((call.excinfo or (kept[0] if kept else None)), after.excinfo):
            if excinfo is not None:
                if isinstance(excinfo.value, pytest.skip.Exception):
                    self.outcome = "skipped"
                    continue
                self.outcome = "failed"
                self.failures.append(describe(excinfo.value, self.root, call.when, self.compare, thorough=False))
        if self.failures:
            self.outcome = "failed"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: CallInfo[None]) -> Generator[None, Any, Any]:
        kept = getattr(item, "_excinfo", None)
        excinfo = call.excinfo or (kept[0] if kept else None)
        report = yield
        if report.failed and excinfo is not None:
            self.failures.append(describe(excinfo.value, self.root, report.when, self.compare))
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        report = yield from self._guard.watch(collector)
        call = getattr(report, "call", None)
        if report.failed:
            error = self._guard.stopped.get(collector.nodeid)
            if error is None:
                error = call.excinfo.value if call and call.excinfo is not None else Exception(report.longrepr)
            failure = describe(error, self.root, "collect")
            cause = error.__cause__ or error.__context__
            if type(error).__name__ == "CollectError" and cause is not None:
                failure["type"], failure["message"] = type(cause).__name__, str(cause)[:MESSAGE_CHARACTERS]
            self.collect_errors[collector.nodeid or "."] = failure
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        try:
            self.compare = [op, repr(left)[:1000], repr(right)[:1000], type(left).__name__, type(right).__name__]
        except Exception:
            self.compare = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        if not self.async_natively or not inspect.iscoroutinefunction(pyfuncitem.obj):
            return None
        import asyncio  # most suites never need it

        names = pyfuncitem._fixtureinfo.argnames
        asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
        return True


class Suite:
    """A collected pytest session. `broken` is the failure of pytest's configuration or collection, if any."""

    def __init__(self, root: str, arguments: list[str], guard: Guard) -> None:
        self.root = root
        self.plugin = _Plugin(root, guard)
        self._guard = guard
        self.items: list[pytest.Item] = []
        self.by_id: dict[str, pytest.Item] = {}
        self.broken: Failure | None = None
        self.coroutines = False
        self.direct: Direct | None = None
        """Set where simple tests are called without pytest's hooks."""
        self.turns: Turns | None = None
        """Set where loops count their turns."""
        self._arguments = arguments

    def collect(self, select: Iterable[str] = ()) -> None:
        """Configures pytest and collects, only `select` (node ids or paths) when given. Never raises for what
        the repository does: see `broken` and `plugin.collect_errors`."""
        chosen = list(select)
        try:
            config = _prepareconfig([*self._arguments, *chosen], plugins=[self.plugin, self._guard])
            config._do_configure()
            manager = config.pluginmanager
            # The plugin registered last is asked first: those of the repository may run tests in their own way.
            manager.unregister(self.plugin)
            manager.register(self.plugin)
            self.plugin.async_natively = not any(manager.hasplugin(name) for name in _ASYNC_PLUGINS)
            session = Session.from_config(config)
            config.hook.pytest_sessionstart(session=session)
            config.hook.pytest_collection(session=session)
        except BaseException as error:
            failure = describe(error, self.root, "configure")
            if error.__cause__ is not None:
                failure["cause"] = f"{type(error.__cause__).__name__}: {error.__cause__}"[:500]
            self.broken = failure
            return
        self._guard.marker.write("")
        self.items = list(session.items)
        self.coroutines = self.plugin.async_natively and any(
            inspect.iscoroutinefunction(getattr(item, "obj", None)) for item in self.items
        )
        for item in self.items:
            self.by_id.setdefault(item.nodeid, item)

    def run(self, item: pytest.Item, nextitem: pytest.Item | None, cpu: float, wall: float) -> tuple[str, float]:
        """Runs one item; returns its outcome and seconds. Failures are left in `plugin.failures`."""
        started = clock.now()
        alarm = Alarm(cpu, wall)
        plugin, ended, caught = self.plugin, False, False
        call = self.direct.call_of(item) if self.direct is not None else None
        if self.turns is not None:
            self.turns.start()
        try:
            alarm.start()
            try:
                if call is not None:
                    plugin.directly(call)
                else:
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
                ended, caught = True, alarm.rang
            except BaseException as error:
                plugin.outcome = "error"
                plugin.failures.append(describe(error, self.root, "call", thorough=not plugin.quick))
                _abandon(item)
            alarm.stop()
        except Hang as late:
            alarm.surely_stop()
            if not ended:
                plugin.failures.append(describe(late, self.root, "call", thorough=False))
        outcome = plugin.outcome
        if caught or (
            self.turns is not None and self.turns.rang
        ):  # the test caught the interruption: what it says after that is worth nothing
            plugin.failures = [{"type": "Hang", "message": "out of time", "frames": [], "when": "call"}]
        if any(failure["type"] == "Hang" for failure in plugin.failures):
            outcome = "hang"
        return outcome, clock.now() - started


def _abandon(item: pytest.Item) -> None:
    """Tears down what an interrupted run left set up, so that the next item starts clean."""
    try:
        item.session._setupstate.teardown_exact(None)
    except BaseException as error:
        sys.stderr.write(f"{error}\n")
