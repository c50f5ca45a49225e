"""Which files belong to the tests or decide how tests are run: a patch may change neither."""

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.environments.languages import Language


_TEST_PARTS = frozenset({"test", "tests", "testing"})


def _languages(path: str) -> "tuple[Language, ...]":
    """The languages whose rules apply to a file: its own; all for one that is a source of none."""
    suffix = "." + path.rpartition(".")[2]
    if suffix in (".py", ".pyi"):
        return ()
    from sandbox.environments.languages import LANGUAGES  # not needed for Python, and many modules

    return tuple(language for language in LANGUAGES if suffix in language.suffixes) or LANGUAGES


def is_test_path(path: str) -> bool:
    """Whether a file belongs to the tests, which a patch may never change."""
    *folders, name = path.split("/")
    stem = name.removesuffix(".py")
    return any(language.is_test(path) for language in _languages(path)) or (
        any(folder in _TEST_PARTS for folder in folders)
        or name == "conftest.py"
        or stem in ("test", "tests")
        or re.fullmatch(r"test_.*|.*_tests?", stem) is not None
    )


_CONFIGURES_TESTS = frozenset(
    {
        "pytest.ini", "pytest.toml", "tox.ini", "setup.cfg", "setup.py", "pyproject.toml", "noxfile.py",
        "penstock.toml", "makefile", "sitecustomize.py", "usercustomize.py", "manifest.in",
    }
)  # fmt: skip
"""Files that configure which tests are run, and how; in lower case."""
_IMPORT_FOLDERS = frozenset({"src", "lib", "python", "source"})
"""Folders that are searched for modules just like the root."""
_TEST_TOOLS = frozenset({"pytest", "_pytest", "pluggy", "iniconfig", "coverage", "hypothesis", "nose", "testtools"})


def steers_tests(path: str) -> bool:
    """Whether a file other than a test decides which tests are run or what runs them: their settings, files that
    Python executes when it starts, hidden files, and modules that would shadow the standard library or a test tool."""
    parts = path.lower().split("/")
    name = parts[-1]
    if any(language.steers(path) for language in _languages(path)):
        return True
    if name in _CONFIGURES_TESTS or name.endswith((".pth", ".pyc", ".so")) or any(p.startswith(".") for p in parts):
        return True
    if len(parts) > 1 and parts[0] in _IMPORT_FOLDERS:
        parts = parts[1:]
    # What `import NAME` finds first: NAME.py, or a folder NAME with Python files in it.
    importable = parts[0].removesuffix(".py") if len(parts) == 1 else parts[0]
    return name.endswith(".py") and (
        importable in _TEST_TOOLS
        or (importable in sys.stdlib_module_names and (len(parts) == 1 or name == "__init__.py"))
    )
