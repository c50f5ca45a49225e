"""Whether the warm launcher is used only where it works."""

from pathlib import Path

import pytest

from core.settings import Settings
from dagster_project.runtime import Runtime
from dagster_project.supervisor import Supervisor
from dagster_project.warm import self_check


def supervisor_of(home: Path, said: list[str]) -> Supervisor:
    settings = Settings(home=home, gateway_port=0, dagster_port=0)
    return Supervisor(Runtime(settings, "", "", "", embedded=False), on_event=said.append)


def test_the_installed_dagster_passes_and_is_not_tested_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert self_check.problem(tmp_path / "checked") is None

    def not_again(*_: object, **__: object) -> None:
        raise AssertionError("tried again")

    monkeypatch.setattr(self_check.subprocess, "run", not_again)
    assert self_check.problem(tmp_path / "checked") is None
    (tmp_path / "checked").write_text("dagster 0.0.1")
    with pytest.raises(AssertionError, match="tried again"):
        self_check.problem(tmp_path / "checked")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("import dagster._grpc.impl as changed; del changed.core_execute_run", "core_execute_run"),
        ("import dagster._daemon.sensor as changed; del changed.MIN_INTERVAL_LOOP_TIME", "MIN_INTERVAL_LOOP_TIME"),
        (
            "import dagster_postgres.run_storage.run_storage as changed; del changed.create_pg_engine",
            "create_pg_engine",
        ),
    ],
)
def test_a_dagster_with_other_internals_is_reported_and_tested_each_time(
    change: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(change)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = self_check.problem(tmp_path / "checked")
    assert found is not None
    assert named in found
    assert not (tmp_path / "checked").exists()


def test_if_the_check_fails_runs_use_dagsters_own_launcher_and_a_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    platform = supervisor_of(tmp_path, said)
    assert "warm" in {child.name for child in platform.children}
    monkeypatch.setattr(self_check, "problem", lambda cache: "no such thing as RunLauncher")
    platform._check_launcher()
    assert "warm" not in {child.name for child in platform.children}
    (daemon,) = [child for child in platform.children if child.name == "daemon"]
    assert "dagster._daemon" in daemon.argv
    assert platform.settings.run_launcher == "stock"
    (warning,) = said
    assert "no such thing as RunLauncher" in warning
    assert "Dagster's own launcher" in warning


def test_if_the_check_passes_there_is_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    platform = supervisor_of(tmp_path, said)
    monkeypatch.setattr(self_check, "problem", lambda cache: None)
    platform._check_launcher()
    assert "warm" in {child.name for child in platform.children}
    assert said == []
