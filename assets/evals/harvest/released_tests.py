"""Tests of a source release: which files they are, and the outcome of each when run in the sandbox.

Not for choosing tests (`released_search`), nor for judging a patch (`repair`), where an exit code is enough.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from assets.evals.sets.suite_runs import python_environment
from sandbox.protocol import CommandResult, Limits, Sandbox, SandboxUnavailable, Session

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
_modules = ("_pytest", "pytest", "pluggy", "iniconfig", "packaging", "pygments", "py", "__main__", "__mp_main__",
            "{_PLUGIN}")

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
    """The outcomes of tests by pytest id. A test that failed in any phase is `failed`, and an expected failure
    `skipped`; a file that cannot be collected is `failed` under its own name. `foreign` are the modules that were
    imported from installed packages other than pytest's own. `finished` is false if a limit ended the run."""

    passed: frozenset[str]
    failed: frozenset[str]
    skipped: frozenset[str]
    foreign: tuple[str, ...]
    seconds: float
    finished: bool


def is_released_test(path: str) -> bool:
    """Whether a relative path of a release is, by its name, a test or data in a folder of tests."""
    parts = PurePosixPath(path).parts
    if parts[0] in _DOCUMENTATION:
        return False
    return parts[0] == "testing" or bool(_FOLDERS.intersection(parts[:-1])) or bool(_FILE.fullmatch(parts[-1]))


def files_of(root: Path) -> Iterator[str]:
    """Relative paths of the regular files of an unpacked release, without links and the build's leftovers."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        built = name == "PKG-INFO" or ".egg-info/" in name or "__pycache__/" in name or ".git" in name.split("/")
        if not built and path.is_file() and not path.is_symlink():
            yield name


def test_files(root: Path) -> list[str]:
    """The test files that pytest can run, by name."""
    names = [name for name in files_of(root) if name.endswith(".py") and is_released_test(name)]
    return [name for name in names if _RUN.fullmatch(name.rpartition("/")[2])]


def copy_files(names: Iterable[str], source: Path, goal: Path) -> None:
    """Copies relative paths from one folder to another, replacing existing files."""
    for name in names:
        target = goal / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)


def import_folders(root: Path) -> tuple[str, ...]:
    """The root, and `src` and `lib` if packages are in them."""
    found = [
        name
        for name in ("src", "lib")
        if not (root / name / "__init__.py").exists() and any((root / name).glob("**/*.py"))
    ]
    return (".", *found)


def pytest_command(folders: Sequence[str], tests: Sequence[str], left_out: Sequence[str] = ()) -> tuple[str, ...]:
    """The command for test files or pytest ids. The project's own `addopts` are ignored, since they may need plugins
    that are not installed."""
    return (
        "python", "-m", "pytest", "-q", "--rootdir=.", "-o", "addopts=", "-o", f"pythonpath={' '.join(folders)}",
        "-o", "python_files=test*.py *_test.py *_tests.py", *(f"--deselect={name}" for name in left_out), *tests,
    )  # fmt: skip


def run_outcomes(root: Path, command: Sequence[str], sandbox: Sandbox, *, wall_seconds: float = 120.0) -> Outcomes:
    """Runs a `pytest_command` on a copy of `root` and returns the outcome of each test. Raises `SandboxUnavailable`."""
    environment, python = python_environment(root, f"-p {_PLUGIN} --continue-on-collection-errors")
    limits = Limits(wall_seconds=wall_seconds, cpu_seconds=wall_seconds)
    with sandbox.open(environment, limits) as session:
        session.write(f"{_PLUGIN}.py", _PLUGIN_SOURCE.encode())
        done = session.run([python if word == "python" else word for word in command], limits=limits)
        record = read_record(session, _RECORD, done)
    return _outcomes(record, done.wall_seconds)


def read_record(session: Session, name: str, done: CommandResult) -> bytes:
    """A file that a run wrote. Raises `SandboxUnavailable` with the end of its output if there is none."""
    try:
        return session.read(name)
    except FileNotFoundError as error:
        output = (done.stdout + done.stderr)[-300:].decode(errors="replace")
        raise SandboxUnavailable(f"pytest did not start: {output}") from error


def _outcomes(record: bytes, seconds: float) -> Outcomes:
    ended: dict[str, str] = {}
    foreign: tuple[str, ...] = ()
    finished = False
    for line in record.decode(errors="replace").splitlines():
        try:
            name, outcome = json.loads(line)
        except ValueError:  # the last line of a process that was killed
            continue
        if not name:
            foreign, finished = tuple(outcome), True
        elif ended.get(name) != "failed":
            ended[name] = outcome
    passed, failed, skipped = (
        frozenset(name for name, outcome in ended.items() if outcome == wanted)
        for wanted in ("passed", "failed", "skipped")
    )
    return Outcomes(passed, failed, skipped, foreign, seconds, finished)
