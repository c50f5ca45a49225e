"""Which checkers a repository uses, and running them."""

from pathlib import Path

import pytest

from sandbox.checks import checks_for, run_checks
from sandbox.checks.checkers import Check
from sandbox.checks.diagnostics import lines
from sandbox.protocol import Environment, Limits, Sandbox
from tests.sandbox.conftest import usable


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize(("language", "files", "changed", "expected"), [
    ("python", {"pyproject.toml": "[tool.ruff]\n[tool.mypy]\n"}, ["a.py", "b.txt"], ["ruff", "mypy"]),
    ("python", {"setup.cfg": "[mypy]\n"}, ["a.py"], ["mypy"]),
    ("python", {"pyrightconfig.json": "{}"}, ["a.py"], ["pyright"]),
    ("python", {"pyproject.toml": "[tool.ruff]\n"}, ["a.txt"], []),
    ("python", {"pyproject.toml": "not toml ["}, ["a.py"], []),
    ("go", {"go.mod": "module m\n"}, ["p/a.go", "p/b.go", "q/c.go"], ["go vet", "go vet", "gofmt"]),
    ("javascript", {"package.json": "{}", "tsconfig.json": "{}", "eslint.config.js": ""},
     ["src/a.ts"], ["tsc", "eslint"]),
    ("javascript", {"package.json": '{"eslintConfig": {}}'}, ["a.js"], ["eslint"]),
    ("rust", {"Cargo.toml": ""}, ["src/lib.rs"], ["cargo", "rustfmt"]),
    ("python", {"pyproject.toml": "[tool.ruff.format]\n[tool.black]\n"}, ["a.py"], ["ruff", "ruff format", "black"]),
    ("javascript", {"package.json": '{"prettier": {}}'}, ["a.js"], ["prettier"]),
    ("javascript", {"package.json": "{}", ".prettierrc": "", "web/package.json": "{}"}, ["web/a.js"], ["prettier"]),
    ("java", {"pom.xml": "", "one/pom.xml": ""}, ["one/src/main/java/A.java"], ["javac"]),
    ("java", {"build.gradle": ""}, ["src/main/java/A.java"], []),
    ("c", {".clang-format": ""}, ["src/a.c", "a.txt"], ["clang-format"]),
    ("c", {}, ["src/a.c"], []),
    ("unheard", {}, ["a.x"], []),
])  # fmt: skip
def test_checkers_are_those_that_the_repository_sets_up(
    tmp_path: Path, language: str, files: dict[str, str], changed: list[str], expected: list[str]
) -> None:
    assert [check.tool for check in checks_for(language, write(tmp_path, files), changed)] == expected


def test_a_module_in_a_folder_is_checked_there(tmp_path: Path) -> None:
    root = write(tmp_path, {"api/go.mod": "module m\n", "web/package.json": "{}", "web/tsconfig.json": "{}"})
    vet, _ = checks_for("go", root, ["api/v1/a.go"])
    assert (vet.folder, vet.command) == ("api", ("go", "vet", "./v1"))
    (tsc,) = checks_for("javascript", root, ["web/src/a.ts"])
    assert (tsc.folder, tsc.command[0]) == ("web", "../node_modules/.bin/tsc")


def test_javac_is_run_as_the_topmost_build_is(tmp_path: Path) -> None:
    root = write(tmp_path, {"java/pom.xml": "", "java/one/pom.xml": "", "java/.mvn/jvm.config": ""})
    (javac,) = checks_for("java", root, ["java/one/src/main/java/A.java"])
    assert javac.folder == "java"
    assert javac.command[2:5] == ("java", "until", "test-compile")
    write(tmp_path / "other", {"java/pom.xml": "", ".mvn/jvm.config": ""})
    (above,) = checks_for("java", tmp_path / "other", ["java/src/main/java/A.java"])
    assert (above.folder, above.command[2]) == ("java", "."), "Maven's own settings are those of the folder above"


def test_rustfmt_is_told_the_edition_of_each_package(tmp_path: Path) -> None:
    root = write(tmp_path, {"Cargo.toml": "[workspace]\n", "a/Cargo.toml": '[package]\nedition = "2018"\n'})
    found = checks_for("rust", root, ["a/src/lib.rs", "src/b.rs"])
    assert [(c.folder, c.command[4:]) for c in found if c.tool == "rustfmt"] == [
        ("", ("2021", "./src/b.rs")), ("a", ("2018", "./src/lib.rs")),
    ]  # fmt: skip


def test_file_names_are_never_options(tmp_path: Path) -> None:
    root = write(tmp_path, {"pyproject.toml": "[tool.ruff]\n"})
    (ruff,) = checks_for("python", root, ["--config=x.py", "a.py"])
    assert ruff.command[-2:] == ("--", "a.py")


@pytest.fixture
def sandbox() -> Sandbox:
    return usable("bubblewrap")


def test_a_checker_that_is_not_installed_checks_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    there = Check("said", ("/bin/sh", "-c", "echo 'a.c:3:1: error: wrong'; exit 1"), lines)
    gone = Check("gone", ("no-such-program-here",), lines)
    with sandbox.open(Environment(tmp_path)) as session:
        found, ran = run_checks(session, [gone, there], Limits(), 20)
    assert ran == ["said"]
    assert [one.text for one in found] == ["a.c:3: error: wrong (said)"]
