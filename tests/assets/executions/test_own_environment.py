"""Attempts on repositories whose tests need packages that Penstock does not have."""

import importlib.util
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.work import Execution
from sandbox.environments.prepare import Options

BACKEND = """
import os, zipfile

def build_editable(folder, config=None, metadata=None):
    files = {"it-2.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: it\\nVersion: 2.0\\n",
             "it-2.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
             "it-2.0.dist-info/entry_points.txt": "[pytest11]\\nit_fixtures = it_plugin\\n",
             "it-2.0.dist-info/RECORD": "", "it.pth": os.path.abspath("src") + "\\n"}
    with zipfile.ZipFile(os.path.join(folder, "it-2.0-py3-none-any.whl"), "w") as out:
        for path, text in files.items():
            out.writestr(path, text)
    return "it-2.0-py3-none-any.whl"
"""
FILES = {
    "pyproject.toml": """
        [build-system]
        requires = []
        build-backend = "backend"
        backend-path = ["."]
        [project]
        name = "it"
        version = "2.0"
        dependencies = ["numbertext"]
        """,
    "backend.py": BACKEND,
    "src/it_plugin.py": "import pytest\n\n@pytest.fixture\ndef three():\n    return 3\n",
    "src/it.py": "import numbertext\n\n\ndef price(cents):\n    return numbertext.words(cents + 1)\n",
    "tests/test_it.py": "from it import price\n\n\ndef test_price(three):\n    assert price(3) == 'three'\n\n\n"
    "def test_other(three):\n    assert price(-1) == 'zero' or price(0) == 'zero'\n",
}
ISSUE = "price says one too much\nprice(3) returns 'four' instead of 'three'."
WORDS = "def words(number):\n    return ('zero', 'one', 'two', 'three', 'four', 'five')[number]\n"


def add_wheel(folder: Path, name: str, version: str, module: str) -> str:
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as out:
        out.writestr(f"{name}.py", module)
        info = f"{name}-{version}.dist-info"
        out.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        out.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return wheel.name


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Any]:
    path = Path(__file__).parents[2] / "package_index.py"
    specification = importlib.util.spec_from_file_location("package_index", path)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    served = module.PackageIndex(tmp_path / "index")
    served.add_installed("pytest")
    add_wheel(served.folder, "numbertext", "1.0", WORDS)
    yield served
    served.stop()


@pytest.fixture
def options(tmp_path: Path, index: Any) -> Options:
    return Options(cache=tmp_path / "cache", scope="test", index=index.url)


def test_a_repository_is_repaired_with_a_package_that_penstock_lacks(
    repair: Callable[..., Execution], options: Options
) -> None:
    assert importlib.util.find_spec("numbertext") is None
    done = repair(FILES, ISSUE, environments=options)
    assert done.patch is not None, done.summary
    assert "cents + 1" in done.patch.diff
    packages = done.evidence.packages
    assert packages is not None
    assert "numbertext==1.0" in packages.versions
    assert packages.projects == (".",)
    assert done.evidence.before is not None
    assert len(done.evidence.before.outcomes) == 2, "the repository's own plugin gives the fixture"


def test_without_an_environment_the_summary_names_the_package(repair: Callable[..., Execution]) -> None:
    done = repair(FILES, ISSUE)
    assert done.patch is None
    assert "the package `numbertext`" in done.summary


def test_versions_of_the_commits_date_are_used_where_the_newest_break(
    repair: Callable[..., Execution], options: Options, index: Any
) -> None:
    newest = add_wheel(index.folder, "numbertext", "9.0", "raise ImportError('this version has no words')\n")
    index.published[newest] = "2090-01-01T00:00:00Z"
    done = repair(FILES, ISSUE, environments=options)
    assert done.patch is not None, done.summary
    packages = done.evidence.packages
    assert packages is not None
    assert "numbertext==1.0" in packages.versions
    assert packages.before
    assert any("the commit's date" in note for note in done.evidence.notes)


def test_the_choice_of_older_versions_holds_for_the_next_task(
    repair: Callable[..., Execution], options: Options, index: Any, tmp_path: Path
) -> None:
    newest = add_wheel(index.folder, "numbertext", "9.0", "raise ImportError('this version has no words')\n")
    index.published[newest] = "2090-01-01T00:00:00Z"
    repair(FILES, ISSUE, environments=options)
    (tmp_path / "clean").rename(tmp_path / "first")
    index.asked.clear()
    done = repair({**FILES, "NOTES": "another commit"}, ISSUE, environments=options)
    assert done.evidence.packages is not None
    assert done.evidence.packages.cached
    assert not index.asked


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"requirements.txt": "it2 @ git+ssh://git@host.invalid/it2\n"},
         "The tests need `it2` from version control, which requirements.txt (line 1) asks for and which cannot be "
         "fetched here: name a released version of it under `[environment] requirements` in penstock.toml."),
        ({"requirements.txt": "no-such-package-here\n"}, "no-such-package-here"),
        ({"pyproject.toml": "[project]\nname = 'it'\nversion = '1'\nrequires-python = '>=3.99'\n"}, "Python >=3.99"),
    ],
)  # fmt: skip
def test_a_failed_environment_ends_the_task_with_one_sentence(
    repair: Callable[..., Execution], options: Options, files: dict[str, str], sentence: str
) -> None:
    done = repair({"test_it.py": "def test(): assert 0\n", **files}, ISSUE, environments=options)
    assert done.patch is None
    assert sentence in done.summary
    assert "penstock.toml" in done.summary
    assert done.evidence.candidates.tried == 0


def test_penstocks_packages_do_when_the_index_is_unreachable_and_they_fit(
    repair: Callable[..., Execution], options: Options, index: Any
) -> None:
    index.stop()
    files = {"requirements.txt": "packaging\n", "test_it.py": "def test(): import packaging\n"}
    done = repair(files, ISSUE, environments=options)
    assert done.evidence.packages is None
    assert any("index cannot be reached" in note for note in done.evidence.notes)
    assert "Not reproduced" in done.summary


def test_a_repository_that_declares_nothing_runs_as_before(
    repair: Callable[..., Execution], options: Options, index: Any
) -> None:
    done = repair({"test_it.py": "def test(): import pytest\n"}, ISSUE, environments=options)
    assert done.evidence.packages is None
    assert not index.asked
