"""One failing test, as the rules of this package see it: its failure, and the repository's text around it."""

import ast
import difflib
import functools
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from assets.executions.repository.declared import Declared
from assets.executions.repository.installed import normal
from assets.executions.repository.protected_paths import is_test_path
from assets.executions.trial.baseline import Baseline, Failure
from assets.executions.trial.raised import Place, Raised
from core.work import Outcome

_IMPORT_FOLDERS = ("", "src/", "lib/", "python/", "source/")


@dataclass(frozen=True)
class Found:
    """What is missing. `missing` completes "The tests need …"; `remedy` is a sentence that says how to provide it."""

    kind: str
    missing: str
    remedy: str


@dataclass(frozen=True)
class Case:
    """A failing test with its failure. `test` is empty for a command of which only the output is known."""

    declared: Declared
    baseline: Baseline
    test: str
    failure: Failure

    @property
    def links(self) -> list[Raised]:
        """The exception, and those that it was raised from or in the handler of, outermost first."""
        kept: list[Raised] = []
        for link in self.failure.raised:
            if kept and not link.explicit:
                break
            kept.append(link)
        return kept

    @cached_property
    def source(self) -> str:
        """The text of the test's file."""
        return text_of(self.declared.root, self.test.split("::")[0])

    @cached_property
    def ran_program(self) -> bool:
        """Whether the test executed code that is not a test's, other than by importing it."""
        hits, places = self.baseline.hits.get(self.test, ()), self.baseline.places
        return any(not is_test_path(places[n][0]) for n in hits if n < len(places))

    def statement(self, place: Place | None) -> ast.stmt | None:
        """The innermost statement at a place in the repository."""
        if place is None:
            return None
        found = None
        for node in _statements(self.declared.root, place.path):
            if node.lineno <= place.line <= (node.end_lineno or node.lineno):
                found = node if found is None or node.lineno >= found.lineno else found
        return found

    def decided(self, link: Raised) -> bool:
        """Whether the repository's own `raise` or `assert` made this exception, so that its code decided to fail."""
        if link.is_a("AssertionError"):
            return True
        return not link.outside and isinstance(self.statement(link.place), ast.Raise)

    def in_test(self, link: Raised) -> bool:
        """Whether the innermost code of the repository is a test's."""
        return link.inside is None or is_test_path(link.inside.path)


Rule = Callable[[Case, Raised], Found | None]


@dataclass(frozen=True)
class Modules:
    """The names of the modules of a repository: `top` can be imported by that name, `all` exist somewhere."""

    top: frozenset[str]
    all: frozenset[str]


def modules_of(declared: Declared) -> Modules:
    top: set[str] = set()
    everywhere: set[str] = set()
    for path in declared.files:
        if not path.endswith(".py"):
            continue
        everywhere.update((*path.split("/")[:-1], path.rsplit("/", 1)[-1][:-3]))
        for folder in _IMPORT_FOLDERS:
            if path.startswith(folder):
                top.add(path[len(folder) :].split("/")[0].removesuffix(".py"))
    return Modules(frozenset(top), frozenset(everywhere))


def misspelt(name: str, known: Iterable[str]) -> str | None:
    """A known name from which this one differs by a slip: one letter more, less, other or exchanged."""
    for other in difflib.get_close_matches(name, list(known), n=8, cutoff=0.6):
        if other != name and len(name) >= 3 and _is_slip(name.lower(), other.lower()):
            return other
    return None


def _is_slip(a: str, b: str) -> bool:
    if len(a) == len(b):
        different = [i for i in range(len(a)) if a[i] != b[i]]
        if len(different) == 1:
            return len(a) >= 4
        return len(different) == 2 and different[1] == different[0] + 1 and a[different[0]] == b[different[1]] \
            and a[different[1]] == b[different[0]]  # fmt: skip
    short, long = sorted((a, b), key=len)
    return len(long) == len(short) + 1 and len(short) >= 4 and any(
        long[:i] + long[i + 1 :] == short for i in range(len(long))
    )  # fmt: skip


def imports(tree: Iterable[ast.AST], name: str) -> bool:
    """Whether one of these nodes imports the module `name` or a part of it, by an import statement."""
    for node in tree:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        if any(n == name or n.startswith(name + ".") for n in names):
            return True
    return False


def text_of(root: Path, path: str) -> str:
    """A file of the repository as text; empty for what is no such file."""
    file = root / path
    if not path or ".." in path.split("/") or path.startswith("/") or not file.is_file() or file.is_symlink():
        return ""
    return file.read_text(errors="replace") if file.stat().st_size <= 1 << 20 else ""


@functools.lru_cache(maxsize=64)
def _statements(root: Path, path: str) -> tuple[ast.stmt, ...]:
    try:
        tree = ast.parse(text_of(root, path))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.stmt))


def passed(baseline: Baseline) -> int:
    return sum(1 for outcome in baseline.run.outcomes.values() if outcome is Outcome.PASSED)


def distributions(module: str, declared: Declared) -> list[str]:
    """The declared distributions that may provide a top-level module, the likeliest first."""
    plain = normal(module)
    usual = _PROVIDERS.get(module, "")
    names = [usual, plain, f"python-{plain}", f"py{plain}", f"{plain}-python", f"py-{plain}"]
    exact = [name for name in names if name in declared.requirements]
    joined = plain.replace("-", "")
    return exact or [n for n in declared.requirements if n.replace("-", "") == joined or n.startswith(f"{plain}-")]


def provider(module: str) -> str:
    """The usual distribution of a module."""
    return _PROVIDERS.get(module, module.replace("_", "-"))


_PROVIDERS = {
    "yaml": "pyyaml", "PIL": "pillow", "cv2": "opencv-python", "bs4": "beautifulsoup4", "sklearn": "scikit-learn",
    "dateutil": "python-dateutil", "attr": "attrs", "OpenSSL": "pyopenssl", "jwt": "pyjwt", "serial": "pyserial",
    "git": "gitpython", "Crypto": "pycryptodome", "dotenv": "python-dotenv", "magic": "python-magic",
    "docx": "python-docx", "zmq": "pyzmq", "usb": "pyusb", "pkg_resources": "setuptools", "ruamel": "ruamel-yaml",
    "skimage": "scikit-image", "MySQLdb": "mysqlclient", "psycopg2": "psycopg2-binary", "google": "protobuf",
    "win32api": "pywin32", "pytest_asyncio": "pytest-asyncio", "pytest_mock": "pytest-mock",
}  # fmt: skip
"""Distributions whose names differ from that of their module."""

STANDARD = sys.stdlib_module_names
WORDS = re.compile(r"[A-Za-z0-9_]+")
