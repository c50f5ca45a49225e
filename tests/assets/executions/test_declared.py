"""What a repository declares is read from all usual files, whatever is wrong with them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from assets.executions.repository.declared import declared
from assets.executions.trial.environment.case import misspelt

from .conftest import Files, write_files


def test_requirements_are_read_from_every_usual_file(tmp_path: Path) -> None:
    files: Files = {
        "pyproject.toml": """
        [project]
        name = "shop"
        requires-python = ">=3.9"
        dependencies = ["One_A[x]>=1,<2 ; python_version > '3'"]
        [project.optional-dependencies]
        test = ["two"]
        [project.scripts]
        shop = "shop:main"
        [dependency-groups]
        dev = ["three~=1.0", {include-group = "test"}]
        [tool.poetry.group.dev.dependencies]
        four = ">=2"
        """,
        "setup.cfg": "[options]\ninstall_requires =\n    five==1\n[options.extras_require]\nx = six\n",
        "setup.py": "from setuptools import setup\nNEEDS = ['seven']\nsetup(install_requires=NEEDS)\n",
        "requirements/dev.txt": "-r base.txt\n# no\neight>=1  # yes\n",
        "tox.ini": "[testenv]\ndeps =\n    nine\npassenv = SHOP_TOKEN\n",
        ".gitmodules": '[submodule "a"]\n\tpath = vendor/a\n\turl = ../a\n',
    }
    write_files(tmp_path, files)
    found = declared(tmp_path)
    names = {"one-a", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
    assert names <= set(found.requirements) and found.requirements["one-a"] == ">=1,<2"
    assert (found.name, found.python, found.scripts) == ("shop", ">=3.9", {"shop"})
    assert (found.variables, found.submodules) == ({"SHOP_TOKEN"}, ("vendor/a",))


@given(st.sampled_from(["pyproject.toml", "setup.cfg", "setup.py", "tox.ini", ".gitmodules"]), st.binary(max_size=80))
def test_broken_files_count_as_empty(tmp_path_factory: object, name: str, content: bytes) -> None:
    root: Path = tmp_path_factory.mktemp("broken")  # type: ignore[attr-defined]
    (root / name).write_bytes(content)
    declared(root)


def test_only_slips_of_one_letter_count_as_misspelt() -> None:
    assert misspelt("jsno", ["json"]) == "json"
    assert misspelt("prizes", ["prices"]) == "prices"
    assert misspelt("numba", ["numpy"]) is None
    assert misspelt("go", ["od"]) is None
