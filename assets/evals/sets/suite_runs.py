"""Runs the tests of a case in the sandbox: with this Python, or with the Go or Node.js of this machine.

A suite passes or fails by the exit code of its command. Not for reading which tests failed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.settings import load_settings
from sandbox.protocol import CommandResult, Environment, Limits, Sandbox, SandboxUnavailable

if TYPE_CHECKING:
    from sandbox.environments.languages import Language, Needs, SourceTree

NATIVE_SECONDS = 120.0
"""Wall time of one suite in a compiled language or under Node.js: a compiler may have to run first."""
_SCOPE = "evals"
_TAIL = 2000


class CaseNotRunnable(RuntimeError):
    """This machine lacks what the tests of a case need; the message says what, and how to get it. It says nothing about
    the case or about a patch."""


@dataclass(frozen=True)
class SuiteRun:
    """One run of a case's tests. `passed` is by exit code; `tail` is the end of what was printed."""

    passed: bool
    seconds: float
    limit: str | None
    tail: str


def python_environment(root: Path, pytest_options: str = "") -> tuple[Environment, str]:
    """A copy of `root` with this Python, in which tests run repeatably and without pytest's plugins, and the path of
    its interpreter."""
    from sandbox.python import python_runtime

    runtime = python_runtime()
    variables = {
        **runtime.variables,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": f"-p no:cacheprovider {pytest_options}".strip(),
    }
    return Environment(root, runtime.mounts, variables), runtime.executable


def run_tests(root: Path, argv: tuple[str, ...], sandbox: Sandbox, wall_seconds: float = 30.0) -> SuiteRun:
    """Runs a test command on a copy of `root` in its own sandbox session. Raises `SandboxUnavailable`."""
    environment, python = python_environment(root)
    limits = Limits(wall_seconds=wall_seconds, cpu_seconds=wall_seconds)
    with sandbox.open(environment, limits) as session:
        return _ended(session.run([python if word == "python" else word for word in argv], limits=limits))


def run_native_tests(
    language: str, root: Path, argv: tuple[str, ...], sandbox: Sandbox, cache: Path | None = None
) -> SuiteRun:
    """Runs a test command in another language than Python on a copy of `root`, in its own sandbox session. `cache` is
    Penstock's. Raises `CaseNotRunnable` and `SandboxUnavailable`."""
    from sandbox.environments.languages import SourceTree
    from sandbox.environments.languages.prepare import prepare_language
    from sandbox.environments.languages.suite import SuiteFailed, open_session
    from sandbox.environments.prepare import Options
    from sandbox.environments.store import StoreBusy
    from sandbox.environments.wanted import EnvironmentRefused

    tree = SourceTree(root)
    found, needs = _needs(language, tree)
    limits = Limits(wall_seconds=NATIVE_SECONDS, cpu_seconds=2 * NATIVE_SECONDS, memory_bytes=4 << 30, processes=256)
    try:
        environment = prepare_language(found, needs, tree, sandbox, Options(cache or load_settings().cache, _SCOPE))
    except EnvironmentRefused as refused:
        raise CaseNotRunnable(str(refused)) from refused
    except StoreBusy as busy:
        raise SandboxUnavailable(str(busy)) from busy
    try:
        with open_session(environment, root, sandbox, limits, {}) as session:
            return _ended(session.run(list(argv), limits=limits))
    except SuiteFailed as failure:
        raise SandboxUnavailable(str(failure)) from failure
    finally:
        environment.close()


def why_not_runnable(language: str, root: Path) -> str | None:
    """What this machine lacks for the tests in `root`, and how to get it; None when they can be run here."""
    if language == "python":
        return None
    from sandbox.environments.languages import SourceTree
    from sandbox.environments.wanted import EnvironmentRefused

    try:
        found, needs = _needs(language, SourceTree(root))
        found.toolchain(needs)
    except (CaseNotRunnable, EnvironmentRefused) as refused:
        return str(refused)
    return None


def _needs(language: str, tree: "SourceTree") -> "tuple[Language, Needs]":
    from sandbox.environments.languages import LANGUAGES

    found = next(one for one in LANGUAGES if one.name == language)
    needs = found.find(tree)
    if needs is None:
        raise CaseNotRunnable(f"no tests in {found.title} are found: check the case's repository")
    return found, needs


def _ended(done: CommandResult) -> SuiteRun:
    tail = (done.stdout + done.stderr)[-_TAIL:].decode(errors="replace")
    return SuiteRun(done.exit_code == 0, done.wall_seconds, str(done.limit) if done.limit else None, tail)
