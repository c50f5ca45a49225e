"""Which tests to run and how: from the user's command, from `penstock.toml`, or from the repository's files.

A command that runs pytest or unittest is parsed and run in our worker; any other is a black box of which
only the exit code is known. This module reads files only and executes nothing of the repository.
"""

import configparser
import re
import shlex
import tomllib
from collections.abc import Sized
from dataclasses import dataclass, field, replace
from pathlib import Path

from assets.executions.repository import walk
from assets.executions.repository.declared import declared
from assets.executions.repository.installed import Installed
from assets.executions.repository.plugins import plugin_arguments
from assets.executions.repository.protected_paths import is_test_path

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*")
_PYTHON = re.compile(r"(?:.*/)?(?:python(?:\d(?:\.\d+)?)?|py)")
_SHELL = re.compile(r"[|;&<>`$()]")

_TAKES_VALUE = frozenset({"-k", "-m", "-c", "-p", "-o", "-W", "--rootdir", "--import-mode", "--ignore", "--deselect",
                          "--ignore-glob", "--confcutdir", "--doctest-glob", "--override-ini",
                          "--config-file"})  # fmt: skip
_KEPT = _TAKES_VALUE | {"--doctest-modules", "--pyargs", "--keep-duplicates", "--doctest-ignore-import-errors",
                        "--doctest-continue-on-failure", "--noconftest", "--runxfail"}  # fmt: skip
_DROPPED_WITH_VALUE = frozenset({"-n", "--numprocesses", "--dist", "--maxfail", "--timeout", "--tb", "--color", "-r",
                                 "--durations", "--junitxml", "--junit-xml", "--cov", "--cov-report", "--cov-config",
                                 "--html", "--log-level", "--log-cli-level", "--timeout-method", "--capture",
                                 "--verbosity", "--cov-fail-under", "--reruns"})  # fmt: skip


_UNNEEDED_PLUGINS = frozenset(
    {
        "xdist", "xdist.plugin", "pytest_cov", "pytest_cov.plugin", "randomly", "pytest_randomly", "random_order",
        "sugar", "pytest_sugar", "html", "no:cacheprovider",
    }
)  # fmt: skip
"""Plugins that no test needs: they run tests in parallel or in another order, or make reports."""


@dataclass(frozen=True)
class TestCommand:
    """How the tests are run. `runner` is `pytest` or `unittest` (both in the worker), `command` (a black box) or
    `native` (that of another language); `arguments` are pytest's for the first two, the shell line for `command`."""

    __test__ = False

    runner: str
    arguments: tuple[str, ...]
    shown: tuple[str, ...]
    """The command as a user would type it."""
    sys_path: tuple[str, ...] = ("",)
    """Folders for `sys.path`, relative to the root, in order."""
    variables: dict[str, str] = field(default_factory=dict)
    why: str = ""
    default_paths: tuple[str, ...] = ()
    """Where pytest looks for tests when it is given no paths."""

    def with_file(self, path: str) -> "TestCommand":
        """The same command with one more test file; a command that names no files collects it anyway."""
        named = any(not word.startswith("-") and ("/" in word or word.endswith(".py")) for word in self.arguments)
        if named:
            return replace(self, arguments=(*self.arguments, path))
        if self.default_paths:
            return replace(self, arguments=(*self.arguments, *self.default_paths, path))
        return self


COMMAND_FILE = "test_penstock_command.py"
_COMMAND_TEST = '''"""A whole command as one test."""

import subprocess


def test_command():
    done = subprocess.run({command!r}, shell=True, capture_output=True, text=True, errors="replace", timeout={seconds})
    assert done.returncode == 0, (done.stdout[-1500:] + done.stderr[-1500:])
'''


def command_id(box: TestCommand) -> str:
    """The id of a black-box command among the outcomes of tests."""
    return f"$ {box.arguments[0]}"


def command_test(command: str, seconds: float) -> str:
    """The text of a test module that passes when the command exits with 0 within `seconds`."""
    return _COMMAND_TEST.format(command=command, seconds=round(seconds, 1))


class NoTests(Exception):
    """No tests were found; the message says where they were looked for."""


def number_of_tests(tests: Sized) -> str:
    return "1 test" if len(tests) == 1 else f"{len(tests)} tests"


def detect(root: Path, given: str | None, installed: Installed | None = None) -> TestCommand:
    """The test command of the repository at `root`; `given` is the one that a user or `penstock.toml` names, if any,
    and `installed` what it is run with (None: what is beside Penstock). Raises `NoTests`."""
    command = _understood(root, given) if given else _found(root)
    if command.runner == "command":
        return command
    plugins = plugin_arguments(declared(root, installed), _pytest_options(root).get("required_plugins", ""))
    return replace(command, arguments=(*plugins, *command.arguments))


def _found(root: Path) -> TestCommand:
    """The command by the repository's test files and settings."""
    files = python_files(root)
    tests = [path for path in files if _is_collected(path)]
    configured = _pytest_options(root)
    if not tests and not _configures_tests(root):
        raise NoTests(
            "no tests found: there is no test_*.py or *_test.py file, no tests folder with Python files and no pytest "
            "configuration; give the command that runs them with --test, or `test` in penstock.toml"
        )
    arguments = [*_base_arguments(configured), *(_default_patterns(tests, configured))]
    return TestCommand(
        "pytest",
        tuple(arguments),
        ("python", "-m", "pytest"),
        _import_folders(root, files),
        {},
        "found by its test files",
        tuple(shlex.split(configured.get("testpaths", ""))),
    )


def _base_arguments(options: dict[str, str]) -> list[str]:
    kept = _pytest_arguments(shlex.split(options.get("addopts", "")))[0] if options.get("addopts") else []
    return ["-o", f"addopts={shlex.join(kept)}"] if options.get("addopts") else []


def _default_patterns(tests: list[str], options: dict[str, str]) -> list[str]:
    """unittest's pattern (`test*.py`) is wider than pytest's: pytest's is widened when it finds no tests."""
    if "python_files" in options or any(re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", path) for path in tests):
        return []
    return ["-o", "python_files=test*.py *_test.py *_tests.py"]


def _is_collected(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return is_test_path(path) and name != "conftest.py" and name != "__init__.py"


def black_box(given: str) -> TestCommand:
    """A command of which only the exit code is known."""
    return TestCommand("command", (given,), (given,), why="given")


def _understood(root: Path, given: str) -> TestCommand:
    box = black_box(given)
    if _SHELL.search(given) or "\n" in given:
        return box
    try:
        words = shlex.split(given)
    except ValueError:
        return box
    variables = {}
    while words and _ASSIGNMENT.fullmatch(words[0]):
        name, value = words.pop(0).split("=", 1)
        variables[name] = value
    if words[:2] in (["uv", "run"], ["poetry", "run"], ["pipenv", "run"], ["hatch", "run"]):
        words = words[2:]
    if not words:
        return box
    options = _pytest_options(root)
    files = python_files(root)
    folders = _import_folders(root, files)
    added = tuple(
        p for p in variables.pop("PYTHONPATH", "").split(":") if p and not p.startswith("/") and ".." not in p
    )
    folders = tuple(dict.fromkeys(("", *(p.removeprefix("./").rstrip("/") for p in added), *folders)))
    module = None
    if len(words) >= 3 and _PYTHON.fullmatch(words[0]):
        while len(words) > 1 and words[1].startswith("-") and words[1] != "-m":
            if words[1] in ("-W", "-X"):
                del words[1]
            del words[1]
        if len(words) >= 3 and words[1] == "-m":
            module, words = words[2], words[3:]
    elif words[0] in ("pytest", "py.test"):
        module, words = "pytest", words[1:]
    if module == "pytest":
        kept, understood = _pytest_arguments(words)
        if understood:
            return TestCommand(
                "pytest", (*_base_arguments(options), *kept), tuple(shlex.split(given)), folders, variables, "given"
            )
    if module == "unittest":
        arguments = _unittest_arguments(root, words)
        if arguments is not None:
            neutral = ("-o", "addopts=") if options.get("addopts") else ()
            return TestCommand(
                "unittest", (*neutral, *arguments), tuple(shlex.split(given)), folders, variables, "given"
            )
    return box


def _pytest_arguments(words: list[str]) -> tuple[list[str], bool]:
    """Keeps options that select tests or say how they are imported; drops those that report, stop early or run tests
    in parallel. The flag is true when every option was known."""
    kept: list[str] = []
    known = True
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        name = word.split("=", 1)[0]
        if not word.startswith("-"):
            kept.append(word)
        elif name in _TAKES_VALUE or word[:2] in ("-k", "-m", "-W", "-o", "-c"):
            values = [word]
            if name in _TAKES_VALUE and "=" not in word and position < len(words):
                values.append(words[position])
                position += 1
            if name != "-p" or values[-1] not in _UNNEEDED_PLUGINS:
                kept.extend(values)
        elif name in _KEPT:
            kept.append(word)
        elif name in _DROPPED_WITH_VALUE:
            if "=" not in word and position < len(words) and not words[position].startswith("-"):
                value = words[position]
                if name not in ("--cov",) or "/" not in value:
                    position += 1
        elif re.fullmatch(r"-[vqxsl]+|-n\d+|-n(auto|logical)|-r[a-zA-Z]+|--.*", word):
            known = (
                (known and name in _HARMLESS) or name.startswith("--cov") or len(name) == 2 or not word.startswith("--")
            )
        else:
            known = False
    return kept, known


_HARMLESS = frozenset({"--verbose", "--quiet", "--exitfirst", "--strict-markers", "--strict-config", "--strict",
                       "--no-cov", "--failed-first", "--ff", "--last-failed", "--lf", "--showlocals", "--no-header",
                       "--no-summary", "--cache-clear", "--stepwise", "--nf", "--new-first",
                       "--full-trace"})  # fmt: skip


def _unittest_arguments(root: Path, words: list[str]) -> list[str] | None:
    """pytest arguments that collect what a `python -m unittest` command line would; None when they are unknown."""
    pattern, start, names, chosen = "test*.py", None, [], []
    discover = not words or words[0] == "discover"
    words = words[1:] if words and words[0] == "discover" else list(words)
    position = 0
    positional = 0
    while position < len(words):
        word = words[position]
        position += 1
        name, _, inline = word.partition("=")
        if name in ("-s", "--start-directory", "-p", "--pattern", "-t", "--top-level-directory", "-k"):
            if not inline:
                if position >= len(words):
                    return None
                inline = words[position]
                position += 1
            if name in ("-s", "--start-directory"):
                start = inline
            elif name in ("-p", "--pattern"):
                pattern = inline
            elif name == "-k":
                chosen.append(inline.strip("*"))
        elif word.startswith("-"):
            if not re.fullmatch(r"-[vqfbc]+|--(verbose|quiet|failfast|buffer|catch|locals)", word):
                return None
        elif discover:
            start, pattern = (word, pattern) if positional == 0 else (start, word)
            positional += 1
        else:
            names.append(word)
    targets = []
    for name in names:
        target = _unittest_target(root, name)
        if target is None:
            return None
        targets.append(target)
    if not names and start and start != ".":
        if not (root / start).is_dir():
            return None
        targets.append(start.rstrip("/"))
    arguments = ["-o", f"python_files={pattern}"]
    if chosen:
        arguments += ["-k", " or ".join(chosen)]
    return [*arguments, *targets]


def _unittest_target(root: Path, name: str) -> str | None:
    """`tests.test_cart.CartTest.test_total` or `tests/test_cart.py` as a pytest node id."""
    if name.endswith(".py"):
        return name if (root / name).is_file() else None
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = "/".join(parts[:length])
        if (root / f"{path}.py").is_file():
            return "::".join([f"{path}.py", *parts[length:]])
        if length == len(parts) and (root / path).is_dir():
            return path
    return None


def _pytest_options(root: Path) -> dict[str, str]:
    """pytest's ini options, from the first file in which pytest itself would find them."""
    for name in ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"):
        path = root / name
        if not path.is_file() or path.stat().st_size > 1 << 20:
            continue
        try:
            text = path.read_text()
            if name == "pyproject.toml":
                table = tomllib.loads(text).get("tool", {}).get("pytest", {})
                options = table.get("ini_options", table) if isinstance(table, dict) else {}
                if not options:
                    continue
                return {k: v if isinstance(v, str) else shlex.join(map(str, v)) if isinstance(v, list) else str(v)
                        for k, v in options.items()}  # fmt: skip
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(text)
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, configparser.Error):
            continue
        section = "tool:pytest" if name == "setup.cfg" else "pytest"
        if parser.has_section(section):
            return dict(parser[section])
        if name in ("pytest.ini", ".pytest.ini"):
            return {}
    return {}


def _configures_tests(root: Path) -> bool:
    return bool(_pytest_options(root).get("testpaths") or _pytest_options(root).get("python_files"))


_MOST_FILES = 100_000


def python_files(root: Path) -> list[str]:
    """Sorted paths of Python files among the first 100,000 files, without links and hidden and build folders."""
    return sorted(path for path in walk.files(root, _MOST_FILES, hidden=False) if path.endswith(".py"))


def _import_folders(root: Path, files: list[str]) -> tuple[str, ...]:
    """The root, and folders such as `src` that hold packages but are not packages themselves."""
    folders = [""]
    present = set(files)
    for name in ("src", "lib", "python", "source"):
        folder = _behind_link(root, name)
        inside = [path for path in files if path.startswith(folder + "/")]
        if inside and f"{folder}/__init__.py" not in present:
            folders.append(name)
    return tuple(folders)


def _behind_link(root: Path, name: str) -> str:
    """The folder of the repository that a symbolic link at its root leads to; `name` itself for anything else."""
    if not (root / name).is_symlink():
        return name
    target = (root / name).resolve()
    inside = target.is_relative_to(root.resolve()) and target.is_dir()
    return target.relative_to(root.resolve()).as_posix() if inside else name
