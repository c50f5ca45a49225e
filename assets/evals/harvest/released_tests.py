"""Tests that come with a source release: which files they are, and how each of them ends when run in the sandbox.

Not for choosing tests (`released_search`) and not for judging a patch (`repair_set`), where an exit code is enough.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sandbox.protocol import Environment, Limits, Sandbox, SandboxUnavailable

_FOLDERS = frozenset({"test", "tests", "testsuite"})
_FILE = re.compile(r"tests?\.py|test_[^/]*\.py|[^/]*_tests?\.py|conftest\.py")
_RUN = re.compile(r"test[^/]*\.py|[^/]*_tests?\.py")
_DOCUMENTATION = frozenset({"doc", "docs", "examples", "benchmarks", "benchmark", "build", "dist"})
_PLUGIN = "penstock_outcomes"
_RECORD = "penstock_outcomes.jsonl"

_PLUGIN_SOURCE = f'''
import json, os, sys
_root, _process = os.getcwd(), os.getpid()
_file = open("{_RECORD}", "a", encoding="utf-8")
_modules = ("_pytest", "pytest", "pluggy", "iniconfig", "packaging", "pygments", "py", "__main__", "{_PLUGIN}")

def _write(entry):
    if os.getpid() == _process:
        _file.write(json.dumps(entry) + "\\n")
        _file.flush()

def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        expected = hasattr(report, "wasxfail")
        _write([report.nodeid, "skipped" if expected or report.outcome == "skipped" else report.outcome])

def pytest_collectreport(report):
    if report.failed:
        _write([report.nodeid, "failed"])

def pytest_sessionfinish(session, exitstatus):
    found = set()
    for name, module in list(sys.modules.items()):
        place = getattr(module, "__file__", None) or ""
        if "/packages-" in place or "/site-packages/" in place:
            found.add(name.partition(".")[0])
    _write(["", sorted(found.difference(_modules))])
'''


@dataclass(frozen=True)
class Outcomes:
    """How tests ended, by node id. A test that failed in any phase is failed; skipped and expected failures are
    `skipped`; a file that could not be collected is failed under its own name. `foreign` names the modules that were
    imported from installed packages other than pytest's own. `finished` is false where a limit ended the run."""

    passed: frozenset[str]
    failed: frozenset[str]
    skipped: frozenset[str]
    foreign: tuple[str, ...]
    seconds: float
    finished: bool


def is_released_test(path: str) -> bool:
    """Whether a relative path of a release is by its name a test, or data in a folder of tests."""
    parts = PurePosixPath(path).parts
    if parts[0] in _DOCUMENTATION:
        return False
    return parts[0] == "testing" or bool(_FOLDERS.intersection(parts[:-1])) or bool(_FILE.fullmatch(parts[-1]))


def files_of(root: Path) -> Iterator[str]:
    """Relative paths of the regular files of an unpacked release; links and what building left are passed over."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        left = name == "PKG-INFO" or ".egg-info/" in name or "__pycache__/" in name or ".git" in name.split("/")
        if not left and path.is_file() and not path.is_symlink():
            yield name


def test_files(root: Path) -> list[str]:
    """The Python files among the tests that pytest can be asked to run, in order of their names."""
    names = [name for name in files_of(root) if name.endswith(".py") and is_released_test(name)]
    return [name for name in names if _RUN.fullmatch(name.rpartition("/")[2])]


def copy_files(names: Iterable[str], source: Path, goal: Path) -> None:
    """Copies relative paths from one folder to another, over what is there."""
    for name in names:
        target = goal / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)


def import_folders(root: Path) -> tuple[str, ...]:
    """The root, and `src` or `lib` where packages lie in it."""
    found = [
        name
        for name in ("src", "lib")
        if not (root / name / "__init__.py").exists() and any((root / name).glob("**/*.py"))
    ]
    return (".", *found)


def pytest_command(folders: Sequence[str], tests: Sequence[str], left_out: Sequence[str] = ()) -> tuple[str, ...]:
    """The command for files or node ids of tests. Options of the project that add arguments are put aside, since they
    may ask for plugins that are not there."""
    own = [
        "-o",
        "addopts=",
        "-o",
        f"pythonpath={' '.join(folders)}",
        "-o",
        "python_files=test*.py *_test.py *_tests.py",
    ]
    return (
        "python", "-m", "pytest", "-q", "--rootdir=.", *own, *(f"--deselect={name}" for name in left_out), *tests,
    )  # fmt: skip


def run_outcomes(root: Path, command: Sequence[str], sandbox: Sandbox, *, wall_seconds: float = 120.0) -> Outcomes:
    """Runs a `pytest_command` on a copy of `root` and tells how each test ended. Raises `SandboxUnavailable`."""
    from sandbox.python import python_runtime

    runtime = python_runtime()
    variables = {
        **runtime.variables,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": f"-p no:cacheprovider -p {_PLUGIN} --continue-on-collection-errors",
    }
    words = [runtime.executable if word == "python" else word for word in command]
    limits = Limits(wall_seconds=wall_seconds, cpu_seconds=wall_seconds)
    with sandbox.open(Environment(root, runtime.mounts, variables), limits) as session:
        session.write(f"{_PLUGIN}.py", _PLUGIN_SOURCE.encode())
        done = session.run(words, limits=limits)
        try:
            record = session.read(_RECORD)
        except FileNotFoundError as error:
            said = (done.stdout + done.stderr)[-300:].decode(errors="replace")
            raise SandboxUnavailable(f"pytest did not start: {said}") from error
    return _outcomes(record, done.wall_seconds)


def _outcomes(record: bytes, seconds: float) -> Outcomes:
    ended: dict[str, str] = {}
    foreign: tuple[str, ...] = ()
    finished = False
    for line in record.decode(errors="replace").splitlines():
        try:
            name, what = json.loads(line)
        except ValueError:  # the last line of a process that was killed
            continue
        if not name:
            foreign, finished = tuple(what), True
        elif ended.get(name) != "failed":
            ended[name] = what
    of = {
        what: frozenset(name for name, how in ended.items() if how == what) for what in ("passed", "failed", "skipped")
    }
    return Outcomes(of["passed"], of["failed"], of["skipped"], foreign, seconds, finished)
