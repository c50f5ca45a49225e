"""What `penstock doctor` says of the machine."""

import importlib.metadata
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.database.embedded import DatabaseNotStarted
from core.settings import Settings
from dagster_project.cli import machine_checks, platform
from dagster_project.cli.machine_checks import _memory


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache" / "penstock", gateway_port=0, dagster_port=0)


def found(settings: Settings, *, running: bool = False) -> dict[str, tuple[str, str]]:
    return {name: (state, said) for name, state, said in machine_checks.machine_checks(settings, running=running)}


def test_a_machine_that_lacks_nothing_is_ok(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "clock_state", lambda: 0)
    shown = found(settings)
    assert set(shown) >= {"home", "free space", "file locks", "Unix sockets", "memory", "time", "packages"}
    assert {name for name, (state, _) in shown.items() if state == "missing"} == set()
    assert shown["time"] == ("ok", "the clock is kept right")
    assert shown["port of gateway"] == ("ok", "a free one is selected")
    assert not any(name.startswith("port") for name in found(settings, running=True)), "they are the platform's own"


def test_a_clock_that_nothing_keeps_right_is_degraded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "clock_state", lambda: 5)
    state, said = found(settings)["time"]
    assert (state, "Start a time service" in said) == ("degraded", True)
    monkeypatch.undo()
    assert machine_checks.clock_state() in (-1, 0, 1, 2, 3, 4, 5)


def test_little_space_for_environments_is_degraded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    assert found(settings)["free cache"][0] == "degraded"
    assert "1.0 GB free" in found(settings)["free cache"][1]


def test_little_space_at_home_is_degraded_also_while_the_platform_runs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(settings, running=True)["free space"][0] == "ok"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    state, said = found(settings, running=True)["free space"]
    assert (state, "nothing can be accepted or stored. Free some space" in said) == ("degraded", True)


def test_a_database_that_no_command_can_open_hides_no_other_check(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Settings) -> list[tuple[str, str, str]]:
        raise DatabaseNotStarted("the disk is full")

    monkeypatch.setattr(platform, "_places", full)
    assert platform._results(settings) == [
        ("results", "degraded", "whether they can be published was not asked: the disk is full")
    ]


def test_little_memory_is_degraded(tmp_path: Path) -> None:
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:  4000000 kB\nMemAvailable:  512000 kB\n")
    assert _memory(info)[0] == "degraded"
    info.write_text("MemAvailable:  8192000 kB\n")
    assert _memory(info) == ("ok", "8000 MB are free")
    assert _memory(tmp_path / "none") == ("ok", "not known on this system")


def test_a_port_that_is_taken_names_the_setting(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = settings.model_copy(update={"dagster_port": server.getsockname()[1]})
        state, said = found(taken)["port of dagster"]
    assert (state, "PENSTOCK_DAGSTER_PORT" in said) == ("degraded", True)


def test_a_package_of_another_version_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(settings)["packages"][0] == "ok"
    real = importlib.metadata.version

    def version(name: str) -> str:
        return "0.1" if name == "dagster" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    state, said = found(settings)["packages"]
    assert (state, "dagster 0.1 is not" in said) == ("degraded", True)
