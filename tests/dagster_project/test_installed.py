"""A wheel of Penstock beside packages that have the names of its rooms."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "threads", "gateway", "sandbox", "assets", "sensors", "dagster_project")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, since a build leaves files beside its sources."""
    source = tmp_path_factory.mktemp("source")
    for name in (*ROOMS, "penstock", "eval_sets", "pyproject.toml", "setup.py", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True, timeout=60)
    out = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    build = [str(uv), "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", str(out)]
    subprocess.run([*build, str(source)], check=True, timeout=300)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, what it depends on, and hostile packages named like the rooms."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    uv = Path(sys.executable).with_name("uv")
    install = [str(uv), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(folder / "bin/python")]
    subprocess.run([*install, str(wheel)], check=True, timeout=120)
    (site,) = folder.glob("lib/python3.*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    for room in ROOMS:
        (site / f"{room}.py").write_text("MINE = True\n")
    return folder


def run(environment: Path, *command: str, cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "PYTHON"))}
    return subprocess.run(
        command, cwd=cwd, env={**clean, **variables}, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_wheel_occupies_one_name_and_includes_data_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"penstock"}
    for kind in (".sql", ".html", ".md", "/cases.jsonl", "/site/sitecustomize.py"):
        assert any(name.endswith(kind) for name in names), kind
    inside = {name.removeprefix("penstock/rooms/") for name in names}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert str(path.relative_to(ROOT)) in inside


def test_penstock_is_not_hidden_by_packages_named_like_its_rooms(environment: Path, tmp_path: Path) -> None:
    for room in ROOMS:  # also in the folder that a person works in, and on their path
        (tmp_path / f"{room}.py").write_text("raise SystemExit('hidden by the working folder')\n")
    home = {"PENSTOCK_HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    penstock, python = str(environment / "bin" / "penstock"), str(environment / "bin" / "python")
    told = run(environment, penstock, "doctor", "--json", cwd=tmp_path, **home)
    assert json.loads(told.stdout)["checks"], told.stderr
    told = run(environment, python, "-m", "penstock", "eval", "sets", "--json", cwd=tmp_path, **home)
    assert "repair" in told.stdout, told.stderr


def test_penstock_does_not_hide_other_packages(environment: Path, tmp_path: Path) -> None:
    program = f"import {', '.join(ROOMS)}, penstock; assert all(m.MINE for m in ({', '.join(ROOMS)}))"
    done = run(environment, str(environment / "bin" / "python"), "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_package_imported_before_under_a_rooms_name_is_named(environment: Path, tmp_path: Path) -> None:
    program = "import core, penstock; penstock.use_rooms()"
    done = run(environment, str(environment / "bin" / "python"), "-c", program, cwd=tmp_path)
    assert done.returncode == 1
    assert "a package 'core' from" in done.stderr
