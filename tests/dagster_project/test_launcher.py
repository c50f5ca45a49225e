import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, reconstructable
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus

from core.processes import started_ticks
from dagster_project.warm import launcher
from dagster_project.warm.launcher import WORKER_TAG, WarmRunLauncher
from dagster_project.warm.process import ROOT

from .launcher_jobs import waiting

pytestmark = pytest.mark.xdist_group("warm")


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("warm") / "warm.sock"
    yield path
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] and str(path) in process.info["cmdline"]:
            process.kill()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory, socket_path: Path) -> Iterator[DagsterInstance]:
    home = tmp_path_factory.mktemp("dagster")
    config = {
        "run_launcher": {
            "module": "dagster_project.warm.launcher",
            "class": "WarmRunLauncher",
            "config": {"socket": str(socket_path)},
        },
        "telemetry": {"enabled": False},
    }
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    with DagsterInstance.from_config(str(home)) as made:
        yield made


def _launch(instance: DagsterInstance, folder: Path) -> DagsterRun:
    run = instance.create_run_for_job(
        job_def=waiting, job_code_origin=reconstructable(waiting).get_python_origin(), tags={"folder": str(folder)}
    )
    instance.run_launcher.launch_run(LaunchRunContext(run, None))
    return _run(instance, run)


def _run(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def _until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def _started(folder: Path) -> int:
    _until(lambda: (folder / "started").exists() and (folder / "started").read_text() != "")
    return int((folder / "started").read_text())


def _ends(instance: DagsterInstance, run: DagsterRun, status: DagsterRunStatus) -> None:
    _until(lambda: _run(instance, run).is_finished)
    assert _run(instance, run).status == status


def _warm_process(path: Path) -> psutil.Process:
    for process in psutil.process_iter(["cmdline", "ppid"]):
        line = process.info["cmdline"] or []
        if str(path) in line and "dagster_project.warm.process" in line:
            parent = process.parent()
            if parent is None or str(path) not in (parent.cmdline() or []):
                return process
    raise AssertionError("no warm process")


def test_a_run_is_forked_and_succeeds(instance: DagsterInstance, tmp_path: Path, socket_path: Path) -> None:
    run = _launch(instance, tmp_path)
    pid = _started(tmp_path)
    assert run.tags[WORKER_TAG].startswith(f"{pid}:")
    assert psutil.Process(pid).ppid() == _warm_process(socket_path).pid
    assert isinstance(instance.run_launcher, WarmRunLauncher)
    assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    (tmp_path / "go").touch()
    _ends(instance, run, DagsterRunStatus.SUCCESS)


def test_the_run_of_a_killed_worker_fails_with_the_reason(instance: DagsterInstance, tmp_path: Path) -> None:
    run = _launch(instance, tmp_path)
    os.kill(_started(tmp_path), signal.SIGKILL)
    _ends(instance, run, DagsterRunStatus.FAILURE)
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id)]
    assert any("killed by signal 9" in str(event.message) for event in events if event)
    health = instance.run_launcher.check_run_worker_health(_run(instance, run))
    assert health.status == WorkerStatus.NOT_FOUND


def test_termination_cancels_the_run(instance: DagsterInstance, tmp_path: Path) -> None:
    run = _launch(instance, tmp_path)
    pid = _started(tmp_path)
    assert instance.run_launcher.terminate(run.run_id)
    _ends(instance, run, DagsterRunStatus.CANCELED)
    _until(lambda: not psutil.pid_exists(pid))
    assert not instance.run_launcher.terminate(run.run_id)


def test_runs_outlive_the_warm_process_and_the_next_launch_starts_a_new_one(
    instance: DagsterInstance, tmp_path: Path, socket_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = _launch(instance, tmp_path / "a")
    _started(tmp_path / "a")
    old = _warm_process(socket_path)
    old.kill()
    old.wait(300)
    assert instance.run_launcher.check_run_worker_health(first).status == WorkerStatus.RUNNING
    second = _launch(instance, tmp_path / "b")
    assert _warm_process(socket_path).pid != old.pid
    for name, run in (("a", first), ("b", second)):
        (tmp_path / name / "go").touch()
        _ends(instance, run, DagsterRunStatus.SUCCESS)


def test_the_warm_process_restarts_when_the_code_has_changed(
    instance: DagsterInstance, tmp_path: Path, socket_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = _launch(instance, tmp_path / "a")
    _started(tmp_path / "a")
    pid = _warm_process(socket_path).pid
    source = ROOT / "dagster_project" / "definitions.py"
    before = source.stat()
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    try:
        second = _launch(instance, tmp_path / "b")
    finally:
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _warm_process(socket_path).pid == pid
    os.kill(_started(tmp_path / "a"), signal.SIGKILL)
    _ends(instance, first, DagsterRunStatus.FAILURE)  # children of before are still its own
    (tmp_path / "b" / "go").touch()
    _ends(instance, second, DagsterRunStatus.SUCCESS)


def test_a_warm_process_whose_socket_was_taken_by_another_ends_once_its_runs_have(
    instance: DagsterInstance, tmp_path: Path, socket_path: Path
) -> None:
    run = _launch(instance, tmp_path)
    _started(tmp_path)
    first = _warm_process(socket_path)
    command = [sys.executable, "-m", "dagster_project.warm.process", str(socket_path)]
    second = subprocess.Popen(command, start_new_session=True)  # as the supervisor does when a launcher was quicker
    _until(lambda: _launch_finds(socket_path, second.pid))
    assert first.is_running(), "it has a run to reap"
    (tmp_path / "go").touch()
    _ends(instance, run, DagsterRunStatus.SUCCESS)
    psutil.wait_procs([first], timeout=60)
    assert not first.is_running()
    assert second.poll() is None


def _launch_finds(path: Path, pid: int) -> bool:
    """Whether the process that listens at the path is this one, as its peer credentials say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.connect(str(path))
        found: tuple[int, int, int] = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return found[0] == pid


def test_a_reused_process_id_is_not_mistaken_for_the_worker() -> None:
    assert started_ticks(os.getpid()) is not None
    assert started_ticks(2**22 + 1) is None
    assert launcher._worker(DagsterRun(job_name="j", tags={WORKER_TAG: "12:nonsense"})) is None


def test_a_malformed_request_is_answered_and_changes_nothing(
    instance: DagsterInstance, tmp_path: Path, socket_path: Path
) -> None:
    launcher.start(socket_path)
    with pytest.raises(launcher.WarmLaunchFailed, match="not a launch request"):
        launcher.launch(socket_path, {"nonsense": "1"})
    run = _launch(instance, tmp_path)
    (tmp_path / "go").touch()
    _ends(instance, run, DagsterRunStatus.SUCCESS)


def test_stopping_the_warm_process_ends_its_runs(instance: DagsterInstance, tmp_path: Path, socket_path: Path) -> None:
    run = _launch(instance, tmp_path)
    pid = _started(tmp_path)
    process = _warm_process(socket_path)
    process.terminate()
    process.wait(300)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert instance.run_launcher.check_run_worker_health(_run(instance, run)).status == WorkerStatus.NOT_FOUND
