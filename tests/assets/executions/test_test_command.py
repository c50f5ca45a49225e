"""The test command is found or understood without running anything."""

from pathlib import Path

import pytest

from assets.executions.repository.test_command import NoTests, detect

from .conftest import Files, write_files


def at(root: Path, files: Files) -> Path:
    write_files(root, files)
    return root


def test_a_repository_without_tests_gets_a_clear_answer(tmp_path: Path) -> None:
    with pytest.raises(NoTests, match="no tests found"):
        detect(at(tmp_path, {"app.py": "x = 1\n", "README.md": "hi"}), None)


def test_a_src_layout_is_importable(tmp_path: Path) -> None:
    found = detect(at(tmp_path, {"src/pkg/__init__.py": "", "tests/test_a.py": "def test(): pass\n"}), None)
    assert found.runner == "pytest"
    assert found.sys_path == ("", "src")


def test_unittests_own_file_pattern_is_honoured(tmp_path: Path) -> None:
    found = detect(at(tmp_path, {"tests/tests.py": "x = 1\n"}), None)
    assert any("python_files=" in word for word in found.arguments)


def test_options_that_need_absent_plugins_are_left_out(tmp_path: Path) -> None:
    ini = '[tool.pytest.ini_options]\naddopts = "--cov=pkg --cov-report term -n auto --import-mode=importlib -x"\n'
    found = detect(at(tmp_path, {"pyproject.toml": ini, "tests/test_a.py": "x = 1\n"}), None)
    assert "addopts=--import-mode=importlib" in found.arguments


@pytest.mark.parametrize(
    ("given", "runner", "arguments"),
    [
        ("python -m pytest", "pytest", ()),
        ("pytest -x -q tests/test_a.py", "pytest", ("tests/test_a.py",)),
        ("python3 -m pytest -k 'a and b' --maxfail=1", "pytest", ("-k", "a and b")),
        ("PYTHONPATH=lib python -m pytest tests", "pytest", ("tests",)),
        ("python -m unittest", "unittest", ("-o", "python_files=test*.py")),
        ("python -m unittest discover -s tests -p '*_check.py'", "unittest",
        ("-o", "python_files=*_check.py", "tests")),
        ("python -m unittest tests.test_a.Case.test_b", "unittest",
        ("-o", "python_files=test*.py", "tests/test_a.py::Case::test_b")),
        ("python -m unittest -v tests/test_a.py", "unittest", ("-o", "python_files=test*.py", "tests/test_a.py")),
        ("make test", "command", ("make test",)),
        ("cd sub && pytest", "command", ("cd sub && pytest",)),
        ("python run_tests.py", "command", ("python run_tests.py",)),
        ("pytest --some-unknown-option", "command", ("pytest --some-unknown-option",)),
    ],
)  # fmt: skip
def test_a_given_command_is_understood_or_kept_as_a_black_box(
    tmp_path: Path, given: str, runner: str, arguments: tuple[str, ...]
) -> None:
    found = detect(at(tmp_path, {"tests/test_a.py": "x = 1\n", "tests/__init__.py": ""}), given)
    assert (found.runner, found.arguments) == (runner, arguments)


def test_a_python_path_in_front_of_the_command_is_used(tmp_path: Path) -> None:
    found = detect(at(tmp_path, {"tests/test_a.py": "x = 1\n"}), "PYTHONPATH=lib:/etc:../up python -m pytest")
    assert found.sys_path == ("", "lib")
