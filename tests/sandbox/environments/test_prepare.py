"""Environments made offline: resolved from a folder of wheels, built in the sandbox."""

import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.environments.find import find
from sandbox.environments.prepare import Options, TestEnvironment, prepare
from sandbox.environments.wanted import EnvironmentRefused, Wanted
from sandbox.protocol import CommandResult, Environment, Limits, Sandbox
from tests.sandbox.environments.conftest import RUNNING, make_wheel

Write = Callable[[Mapping[str, str]], Path]
PROJECT = {
    "pyproject.toml": '[build-system]\nrequires = ["tinybuild"]\nbuild-backend = "tinybuild"\n'
    '[project]\nname = "it"\nversion = "2.0"\ndependencies = ["dep>=1"]\n',
    "METADATA.in": "Metadata-Version: 2.1\nName: it\nVersion: 2.0\nRequires-Dist: dep>=1\n",
    "entry_points.txt": "[console_scripts]\nit = it:main\n[pytest11]\nit = it_plugin\n",
    "src/it.py": "def main():\n    print('program')\n",
    "src/it_plugin.py": "",
}


def wanted_by(root: Path) -> Wanted:
    wanted = find(root)
    assert wanted is not None
    return wanted


def run(box: Sandbox, made: TestEnvironment, root: Path, argv: list[str]) -> CommandResult:
    runtime = made.runtime
    with box.open(Environment(root, runtime.mounts, runtime.variables), Limits()) as session:
        return session.run([runtime.executable if word == "python" else word for word in argv])


def output(box: Sandbox, made: TestEnvironment, root: Path, code: str) -> str:
    done = run(box, made, root, ["python", "-c", code])
    assert done.exit_code == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.fixture
def wheel_of_dep(wheels: Path) -> Path:
    make_wheel(wheels, "dep", "1.0", {"dep.py": "version = 1\n"})
    return make_wheel(wheels, "dep", "1.4", {"dep.py": "version = 1.4\n"})


@pytest.mark.usefixtures("wheel_of_dep")
def test_a_project_is_installed_editable_with_its_requirements(
    box: Sandbox, write: Write, options: Options, tmp_path: Path
) -> None:
    root = write(PROJECT)
    made = prepare(root, wanted_by(root), box, options)
    assert made.entry.facts["packages"] == ["dep==1.4", "pytest==9.0"]
    code = "import dep, it, pytest; print(dep.version, it.__file__, pytest.whose)"
    assert output(box, made, root, code) == "1.4 /workspace/src/it.py the environment"
    assert run(box, made, root, ["it"]).stdout == b"program\n"
    patched = tmp_path / "patched"
    for path, text in {**PROJECT, "src/it.py": "def main():\n    print('patched')\n"}.items():
        (patched / path).parent.mkdir(parents=True, exist_ok=True)
        (patched / path).write_text(text)
    assert run(box, made, patched, ["it"]).stdout == b"patched\n"
    made.close()


@pytest.mark.usefixtures("wheel_of_dep")
def test_entry_points_are_those_of_the_environment(box: Sandbox, write: Write, options: Options) -> None:
    root = write(PROJECT)
    made = prepare(root, wanted_by(root), box, options)
    code = "from importlib.metadata import entry_points as e; print([p.value for p in e(group='pytest11')])"
    assert output(box, made, root, code) == "['it_plugin']"
    made.close()


@pytest.mark.usefixtures("wheel_of_dep")
def test_the_environment_is_read_only_and_without_penstocks_packages(
    box: Sandbox, write: Write, options: Options
) -> None:
    root = write(PROJECT)
    made = prepare(root, wanted_by(root), box, options)
    done = run(box, made, root, ["python", "-c", "import dep, pathlib; pathlib.Path(dep.__file__).write_text('')"])
    assert b"Read-only file system" in done.stderr
    assert b"No module named 'dagster'" in run(box, made, root, ["python", "-c", "import dagster"]).stderr
    made.close()


@pytest.mark.usefixtures("wheel_of_dep")
def test_a_second_task_takes_it_from_the_cache_in_less_than_50_ms(box: Sandbox, write: Write, options: Options) -> None:
    root = write(PROJECT)
    prepare(root, wanted_by(root), box, options).close()
    costs = []
    for _ in range(5):
        began = time.monotonic()
        made = prepare(root, wanted_by(root), box, options)
        costs.append(time.monotonic() - began)
        assert made.cached
        made.close()
    assert min(costs) < 0.05


@pytest.mark.usefixtures("wheel_of_dep")
@pytest.mark.parametrize(
    ("path", "text", "same"),
    [
        ("src/it.py", "changed = True\n", True),
        ("pyproject.toml", PROJECT["pyproject.toml"] + "# changed\n", False),
        ("src/fast.c", "int x;\n", False),
        ("other/module.py", "", False),
    ],
)
def test_the_key_follows_what_decides_about_the_content(
    box: Sandbox, write: Write, options: Options, path: str, text: str, same: bool
) -> None:
    root = write(PROJECT)
    first = prepare(root, wanted_by(root), box, options)
    first.close()
    write({path: text})
    second = prepare(root, wanted_by(root), box, options)
    second.close()
    assert second.cached is same


@pytest.mark.usefixtures("wheel_of_dep")
def test_no_environment_is_shared_between_scopes(box: Sandbox, write: Write, options: Options) -> None:
    root = write(PROJECT)
    first = prepare(root, wanted_by(root), box, options)
    second = prepare(root, wanted_by(root), box, replace(options, scope="another branch"))
    assert not second.cached
    assert first.entry.folder != second.entry.folder
    first.close()
    second.close()


@pytest.mark.usefixtures("wheel_of_dep")
def test_files_that_a_build_writes_are_kept_for_the_tests(box: Sandbox, write: Write, options: Options) -> None:
    on_build = (
        "import os\nopen('src/_version.py', 'w').write('v = ' + repr(os.environ['SETUPTOOLS_SCM_PRETEND_VERSION']))"
    )
    root = write({**PROJECT, "on_build.py": on_build})
    made = prepare(root, wanted_by(root), box, options)
    assert {path: file.read_text() for path, file in made.generated().items()} == {"src/_version.py": "v = '3.1'"}
    made.close()


@pytest.mark.usefixtures("wheel_of_dep")
def test_a_build_has_no_network_and_cannot_change_the_host(
    box: Sandbox, write: Write, options: Options, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    attempts = (f"open({str(proof)!r}, 'w')", "socket.create_connection(('192.0.2.1', 443), 3)")
    on_build = "import socket\n" + "".join(
        f"try:\n    {line}\nexcept OSError as error:\n    print('refused', error)\n" for line in attempts
    )
    root = write({**PROJECT, "on_build.py": on_build})
    made = prepare(root, wanted_by(root), box, options)
    log = (made.entry.folder / "log.txt").read_text()
    made.close()
    assert not proof.exists()
    assert log.count("refused") == 2


@pytest.mark.usefixtures("wheel_of_dep")
def test_a_project_that_cannot_be_built_is_imported_from_its_files_with_a_note(
    box: Sandbox, write: Write, options: Options
) -> None:
    root = write({**PROJECT, "on_build.py": "raise RuntimeError('no compiler')"})
    made = prepare(root, wanted_by(root), box, options)
    assert "it could not be built (RuntimeError: no compiler" in made.entry.facts["notes"][0]
    code = "import it, importlib.metadata as m; print(it.__file__, m.version('it'))"
    assert output(box, made, root, code) == "/workspace/src/it.py 3.1"
    made.close()


def test_what_only_the_built_metadata_says_is_installed_too(
    box: Sandbox, write: Write, options: Options, wheel_of_dep: Path
) -> None:
    make_wheel(wheel_of_dep.parent, "late", "1.0", {"late.py": ""})
    dynamic = PROJECT["pyproject.toml"].replace('dependencies = ["dep>=1"]', 'dynamic = ["dependencies"]')
    metadata = PROJECT["METADATA.in"] + "Requires-Dist: late; python_version > '3'\nProvides-Extra: test\n"
    metadata += "Requires-Dist: absent; extra == 'docs'\n"
    root = write({**PROJECT, "pyproject.toml": dynamic, "METADATA.in": metadata})
    made = prepare(root, wanted_by(root), box, options)
    assert made.entry.facts["packages"] == ["dep==1.4", "late==1.0", "pytest==9.0"]
    made.close()


@pytest.mark.usefixtures("wheel_of_dep")
def test_versions_of_the_lock_are_used(box: Sandbox, write: Write, options: Options) -> None:
    lock = '[[package]]\nname = "dep"\nversion = "1.0"\n'
    root = write({**PROJECT, "uv.lock": lock})
    made = prepare(root, wanted_by(root), box, options)
    assert "dep==1.0" in made.entry.facts["packages"]
    made.close()


@pytest.mark.usefixtures("wheel_of_dep")
def test_requirements_that_conflict_are_refused_in_one_sentence(box: Sandbox, write: Write, options: Options) -> None:
    root = write({"requirements.txt": "dep<1.2\ndep>1.2\n"})
    with pytest.raises(EnvironmentRefused, match=r"cannot be resolved together .*dep") as refused:
        prepare(root, wanted_by(root), box, options)
    assert "[environment] requirements" in refused.value.remedy
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("wheel_of_dep")
def test_requirements_of_tests_that_conflict_are_left_out(box: Sandbox, write: Write, options: Options) -> None:
    root = write({**PROJECT, "requirements-test.txt": "dep<1\n"})
    made = prepare(root, wanted_by(root), box, options)
    assert made.entry.facts["left_out"] == ["requirements-test.txt"]
    assert any("requirements-test.txt" in note for note in made.entry.facts["notes"])
    made.close()


def test_a_python_that_is_not_there_is_named_with_those_that_are(box: Sandbox, write: Write, options: Options) -> None:
    root = write({"pyproject.toml": '[project]\nname = "it"\nversion = "1"\nrequires-python = ">=3.99"\n'})
    with pytest.raises(EnvironmentRefused, match=rf"Python >=3.99 \(pyproject.toml: requires-python\).*{RUNNING}"):
        prepare(root, wanted_by(root), box, options)


def test_a_failed_environment_leaves_nothing_in_the_cache(box: Sandbox, write: Write, options: Options) -> None:
    root = write({"requirements.txt": "absent-package\n"})
    with pytest.raises(EnvironmentRefused, match="absent-package"):
        prepare(root, wanted_by(root), box, options)
    assert [path.name for path in options.store.folder.iterdir() if path.is_dir()] == []


def test_a_package_without_a_wheel_is_built_in_the_sandbox(
    box: Sandbox, write: Write, options: Options, wheels: Path, tmp_path: Path
) -> None:
    proof = tmp_path / "ran-outside"
    files = {
        "pyproject.toml": '[build-system]\nrequires = ["tinybuild"]\nbuild-backend = "tinybuild"\n',
        "METADATA.in": "Metadata-Version: 2.1\nName: old\nVersion: 1.0\n",
        "PKG-INFO": "Metadata-Version: 1.0\nName: old\nVersion: 1.0\n",
        "src/old.py": "x = 7\n",
        "setup.py": f"open({str(proof)!r}, 'w')\n",
    }
    with tarfile.open(wheels / "old-1.0.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            item = tarfile.TarInfo(f"old-1.0/{path}")
            item.size = len(text.encode())
            archive.addfile(item, io.BytesIO(text.encode()))
    root = write({"requirements.txt": "old\n"})
    made = prepare(root, wanted_by(root), box, options)
    assert output(box, made, root, "import old; print(old.x)") == "7"
    assert not proof.exists()
    made.close()


def test_a_pytest_that_is_too_old_is_replaced_with_a_note(
    box: Sandbox, write: Write, options: Options, wheels: Path
) -> None:
    for version in ("5.0", "7.4.4"):
        make_wheel(wheels, "pytest", version, {"pytest.py": ""})
    root = write({"requirements.txt": "pytest==5.0\n"})
    made = prepare(root, wanted_by(root), box, options)
    made.close()
    assert made.entry.facts["packages"] == ["pytest==7.4.4"]
    assert "asks for pytest==5.0" in made.entry.facts["notes"][0]


def test_the_key_is_the_same_in_every_process(write: Write, tmp_path: Path) -> None:
    files = ", ".join(f'{{hash = "sha256:{number:064x}"}}' for number in range(40))
    root = write({**PROJECT, "poetry.lock": f'[[package]]\nname = "other"\nversion = "1.0"\nfiles = [{files}]\n'})
    code = (
        "import sys; from pathlib import Path\n"
        "from sandbox.environments.find import find\n"
        "from sandbox.environments.interpreters import choose\n"
        "from sandbox.environments.prepare import Options, environment_key\n"
        "root, cache = map(Path, sys.argv[1:]); wanted = find(root)\n"
        "print(environment_key(root, wanted, choose(wanted, cache), Options(cache, 'test')))\n"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", code, str(root), str(tmp_path / "cache")],
            capture_output=True,
            check=True,
            timeout=60,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


def test_the_project_itself_is_never_fetched(box: Sandbox, write: Write, options: Options, wheels: Path) -> None:
    make_wheel(wheels, "dep", "1.0", {"dep.py": ""}, requires=("it>=0.1",))
    make_wheel(wheels, "it", "0.1", {"it.py": "raise ImportError('from the index')\n", "stray.py": ""})
    root = write(PROJECT)
    made = prepare(root, wanted_by(root), box, options)
    assert made.entry.facts["packages"] == ["dep==1.0", "pytest==9.0"]
    code = "import it, importlib.util; print(it.__file__, importlib.util.find_spec('stray'))"
    assert output(box, made, root, code) == "/workspace/src/it.py None"
    made.close()
