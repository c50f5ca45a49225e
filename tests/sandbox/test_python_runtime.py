import sys
from pathlib import Path

import pytest

from sandbox.protocol import Environment, Limits, Sandbox
from sandbox.python import python_runtime


def run(backend: Sandbox, workspace: Path, code: str, extra: tuple[Path, ...] = ()) -> str:
    runtime = python_runtime(extra)
    with backend.open(Environment(workspace, runtime.mounts, runtime.variables), Limits()) as session:
        result = session.run([runtime.executable, "-c", code])
    assert result.exit_code == 0, result.stderr.decode()
    return result.stdout.decode().strip()


def test_the_runtime_is_this_python_with_its_packages(backend: Sandbox, tmp_path: Path) -> None:
    code = "import sys, ssl, sqlite3, pytest, numpy\nprint(sys.version, pytest.__version__, numpy.arange(3).sum())"
    assert run(backend, tmp_path, code) == f"{sys.version} {pytest.__version__} 3"


def test_children_start_the_same_python_without_any_environment(backend: Sandbox, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "code = 'import pytest, sys; print(sys.prefix)'\n"
        "print(subprocess.check_output([sys.executable, '-c', code], env={}, text=True))"
    )
    assert run(backend, tmp_path, code) == "/opt/penstock/python"


def test_packages_of_the_workspace_win_over_penstocks_own(backend: Sandbox, tmp_path: Path) -> None:
    for name in ("core", "sandbox"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"whose = 'the repository, {name}'")
    code = "import core, sandbox; print(core.whose, sandbox.whose)"
    assert run(backend, tmp_path, code) == "the repository, core the repository, sandbox"


def test_penstocks_own_packages_are_left_out(backend: Sandbox, tmp_path: Path) -> None:
    code = (
        "import importlib.util\n"
        "names = ('core', 'gateway', 'sandbox', 'assets', 'sensors', 'dagster_project')\n"
        "print([name for name in names if importlib.util.find_spec(name)])"
    )
    assert run(backend, tmp_path, code) == "[]"


def test_no_path_file_is_processed(backend: Sandbox, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "evil.pth").write_text("import sys; sys.evil = True\n")
    code = "import sys; print(hasattr(sys, 'evil'), [p for p in sys.path if 'extra' in p])"
    assert run(backend, tmp_path, code, (extra,)) == "False []"


def test_extra_packages_come_first(backend: Sandbox, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "pluggy.py").write_text("whose = 'extra'")
    (extra / "only_here.py").write_text("x = 1")
    code = "import pluggy, only_here; print(pluggy.whose)"
    assert run(backend, tmp_path, code, (extra,)) == "extra"


def test_extra_packages_named_like_penstocks_are_not_left_out(tmp_path: Path) -> None:
    own, extra = tmp_path / "own", tmp_path / "extra"
    for folder in (own, extra):
        for name in ("core", "useful"):
            (folder / name).mkdir(parents=True)
    from sandbox import python

    made = python._environment({extra: "/extra", own: "/own"}, extra=1)
    links = {link.name: str(link.readlink()) for link in made.glob("lib/*/site-packages/*")}
    assert links == {"core": "/extra/core", "useful": "/extra/useful"}
    made = python._environment({own: "/own"}, extra=0)
    assert [link.name for link in made.glob("lib/*/site-packages/*")] == ["useful"]


def test_an_extra_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        python_runtime((tmp_path / "missing",))


def test_the_runtime_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sandbox import python

    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path))
    python._runtime.cache_clear()
    try:
        first = python_runtime()
        python._runtime.cache_clear()
        assert python_runtime() == first
        made = sorted(tmp_path.glob("sandbox/*"))
        assert made
        assert not [folder for folder in made if folder.name.startswith(".")]
    finally:
        python._runtime.cache_clear()
