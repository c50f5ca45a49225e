"""`penstock status`, `down`, `restart` and what a killed supervisor leaves, on real processes that only sleep."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.processes import ProcessName, await_end
from core.settings import Settings, SettingsError
from dagster_project import records
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from dagster_project.cli.up import private_folder
from dagster_project.hangs import activity
from dagster_project.part_states import duration

SUPERVISOR = """
import sys
from pathlib import Path
from core.settings import Settings
from dagster_project import records
from dagster_project import hangs
from dagster_project.parts import Child
from dagster_project.runtime import Runtime
from dagster_project.supervisor import Supervisor, stop_on_signals

settings = Settings(home=Path(sys.argv[1]), gateway_port=0, dagster_port=0)
(settings.home / "logs").mkdir(exist_ok=True)
runtime = Runtime(settings, "", "", "", embedded=False)
def say(text):
    print(text, flush=True)
with records.only_one(settings):
    supervisor = Supervisor(runtime, on_event=say)
    hangs.ASK_SECONDS = 0.1
    code = {"deaf": "signal.signal(15, signal.SIG_IGN)", "broken": "sys.exit('no luck')"}
    supervisor.children = [
        Child(name, [sys.executable, "-c", f"import signal, sys, time; {code.get(name, 'pass')}; time.sleep(900)"],
              lambda: True, alive=lambda name=name: name != "mute")
        for name in sys.argv[2:]
    ]
    for child in supervisor.children:
        child.restarts.failures = 10 if child.name == "hurt" else 0
    with stop_on_signals(supervisor):
        for child in supervisor.children:
            supervisor._spawn(child)
        supervisor._write_state()
        supervisor.watch()
        supervisor.stop()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    return Settings(home=tmp_path)


@pytest.fixture
def start(settings: Settings) -> Iterator[Start]:
    """Starts a supervisor of the named parts, and returns once each is up or has failed often."""
    started = []

    def begin(*parts: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(settings.home), *parts], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        wanted = {part: "failing" if part in ("broken", "hurt") else "up" for part in parts}
        _until(lambda: _states(settings) == wanted)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()
    records.end_left(settings)


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _states(settings: Settings) -> dict[str, str]:
    record = records.read_record(settings)
    return {one.name: one.state for one in record.parts} if record else {}


def _process(settings: Settings, part: str) -> ProcessName:
    record = records.read_record(settings)
    assert record is not None
    [found] = [one.process for one in record.parts if one.name == part]
    assert found is not None
    return found


def _run(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, CommandFailed):
        raise result.exception
    return result.exit_code, json.loads(result.stdout) if "--json" in arguments else result.output


def test_the_parts_of_a_killed_supervisor_end_by_themselves_or_are_ended_by_the_next(
    settings: Settings, start: Start
) -> None:
    supervisor = start("sleeper", "deaf")
    sleeper, deaf = _process(settings, "sleeper"), _process(settings, "deaf")
    code, shown = _run("status", "--json")
    assert (code, shown["state"], shown["pid"]) == (0, "up", supervisor.pid)
    assert {one["part"]: (one["pid"], one["restarts"]) for one in shown["parts"]} == {
        "sleeper": (sleeper.pid, 0),
        "deaf": (deaf.pid, 0),
    }
    with pytest.raises(records.AlreadyRuns), records.only_one(settings):
        pass
    supervisor.kill()
    supervisor.wait()
    assert await_end([sleeper], 30) == []
    assert deaf.runs(), "it does not listen to the kernel's signal"
    code, shown = _run("status", "--json")
    assert (code, shown["state"]) == (1, "left over")
    assert [(one["part"], one["state"]) for one in shown["parts"]] == [("deaf", "left over")]
    assert records.running_platform(settings) is None
    records.END_SECONDS, before = 0.2, records.END_SECONDS
    try:
        assert "left running: deaf" in _run("down")[1]
    finally:
        records.END_SECONDS = before
    assert not deaf.runs()
    code, shown = _run("status", "--json")
    assert (code, shown["state"], shown["parts"]) == (1, "stopped", [])
    assert "no platform runs here" in _run("down")[1]


def test_a_record_of_processes_of_another_boot_or_of_strangers_ends_nobody(settings: Settings) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        name = ProcessName.of(stranger.pid)
        assert name is not None
        gone = ProcessName(2**22 - 1, 1, name.boot)
        for other in (ProcessName(name.pid, name.started, "x"), ProcessName(name.pid, name.started - 1, name.boot)):
            part = records.PartRecord("gateway", other, "up", time.time(), 0)
            records.write_record(settings, records.PlatformRecord(gone, time.time(), (part,)))
            assert records.end_left(settings) == []
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"supervisor": [1, 2, "x"]}', '{"supervisor": 7, "parts": []}'])
def test_a_damaged_record_is_none(settings: Settings, text: str) -> None:
    records.parts_file(settings).write_text(text)
    assert records.read_record(settings) is None
    records.platform_file(settings).write_text(text)
    assert records.running_platform(settings) is None


def test_a_record_that_was_damaged_or_removed_is_written_again(settings: Settings, start: Start) -> None:
    start("gateway")
    file = records.parts_file(settings)
    for damage in (lambda: file.write_text("{"), file.unlink):
        damage()
        _until(lambda: _states(settings) == {"gateway": "up"})


def test_a_home_where_no_folder_can_be_made_has_no_platform(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    settings = Settings(home=tmp_path)
    assert records.read_record(settings) is None
    assert records.running_platform(settings) is None
    with records.only_one(settings):
        assert records.end_left(settings) == []


def test_a_part_is_restarted_on_request(settings: Settings, start: Start) -> None:
    supervisor = start("sleeper", "deaf")
    before = _process(settings, "sleeper")
    assert "sleeper is up again" in _run("restart", "sleeper")[1]
    after = _process(settings, "sleeper")
    assert not before.runs()
    assert after.runs()
    with pytest.raises(CommandFailed, match="no part 'nonsense'; it has sleeper, deaf"):
        _run("restart", "nonsense")
    supervisor.terminate()
    assert supervisor.wait(60) == 0
    with pytest.raises(CommandFailed, match="no platform runs"):
        _run("restart", "sleeper")


def test_a_part_that_would_wait_for_its_turn_is_restarted_at_once_on_request(settings: Settings, start: Start) -> None:
    supervisor = start("sleeper", "hurt")
    began = time.monotonic()
    assert "hurt is up again" in _run("restart", "hurt")[1]
    took = time.monotonic() - began
    supervisor.terminate()
    assert "hurt was ended by SIGTERM; restarting in 30.0 s" in supervisor.communicate(timeout=60)[0]
    assert took < 30


def test_a_part_that_keeps_failing_is_said_to_fail_once_and_is_tried_ever_less_often(
    settings: Settings, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = start("sleeper", "broken")
    code, shown = _run("status", "--json")
    assert (code, shown["state"]) == (1, "degraded")
    assert [(one["part"], one["state"]) for one in shown["parts"]] == [("sleeper", "up"), ("broken", "failing")]
    monkeypatch.setattr("sandbox.backends", tuple)
    checks = {one["name"]: one for one in _run("doctor", "--json")[1]["checks"]}
    assert checks["platform"]["state"] == checks["part broken"]["state"] == "degraded"
    assert "1 of 2 parts are up" in checks["platform"]["detail"]
    assert "part sleeper" not in checks
    supervisor.terminate()
    said = supervisor.communicate(timeout=60)[0].splitlines()
    waits = [float(line.split(" in ")[-1].removesuffix(" s")) for line in said if "broken ended with code 1" in line]
    assert waits == [0.5 * 2**number for number in range(len(waits))]
    assert len(waits) >= 4
    assert len([line for line in said if line.startswith("broken keeps failing: 4 times in a row. ")]) == 1
    assert "no luck" in said
    assert _run("status", "--json")[1]["state"] == "stopped"


def test_a_part_that_hangs_is_ended_and_started_again(settings: Settings, start: Start) -> None:
    supervisor = start("sleeper", "mute")
    first = _process(settings, "mute")
    _until(lambda: not first.runs())
    _until(lambda: (record := records.read_record(settings)) is not None and record.parts[1].restarts == 1)
    supervisor.terminate()
    said = supervisor.communicate(timeout=60)[0].splitlines()
    assert said.count("mute hangs (not answering, asked 7 times): it is ended and started again") == 1
    assert "mute was ended by SIGKILL; restarting in 0.5 s" in said
    assert not [line for line in said if line.startswith("sleeper hangs")]


def test_a_part_that_a_signal_has_stopped_is_shown_at_once_and_started_again(settings: Settings, start: Start) -> None:
    supervisor = start("sleeper", "deaf")
    supervisor.send_signal(signal.SIGSTOP)  # so that nothing is mended before it is looked at
    first = _process(settings, "deaf")
    assert first.send(signal.SIGSTOP)
    _until(lambda: (does := activity(first.pid)) is not None and does.stopped)
    _, shown = _run("status", "--json")
    found = {one["part"]: (one["state"], one["detail"]) for one in shown["parts"]}
    stopped = ("not answering", "stopped by a signal; it is started again if it stays so")
    assert found == {"sleeper": ("up", ""), "deaf": stopped}
    supervisor.send_signal(signal.SIGCONT)
    _until(lambda: not first.runs())
    _until(lambda: _states(settings) == {"sleeper": "up", "deaf": "up"})
    second = _process(settings, "sleeper")
    supervisor.send_signal(signal.SIGSTOP)
    assert second.send(signal.SIGSTOP)
    supervisor.terminate()
    supervisor.send_signal(signal.SIGCONT)
    said = supervisor.communicate(timeout=60)[0].splitlines()
    assert said.count("deaf hangs (stopped by a signal, asked 2 times): it is ended and started again") == 1
    assert not second.runs()


def test_only_one_supervisor_at_a_time_and_a_killed_one_does_not_count(settings: Settings, start: Start) -> None:
    first = start("sleeper")
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISOR, str(settings.home), "sleeper"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "AlreadyRuns" in done.stderr
    first.kill()
    first.wait()
    start("sleeper")


def test_a_duration_is_said_as_a_person_would() -> None:
    said = [duration(seconds) for seconds in (None, 0.4, 59, 60, 3599, 3600, 12_000, 86_400, 187_200)]
    assert said == ["", "0 s", "59 s", "1 min", "59 min", "1 h 0 min", "3 h 20 min", "1 d 0 h", "2 d 4 h"]


def test_the_version_is_printed() -> None:
    assert _run("--version")[1].startswith("penstock ")


@pytest.mark.parametrize(
    "before",
    ["", "signal.signal(15, signal.SIG_IGN)", "signal.pthread_sigmask(signal.SIG_BLOCK, (15,))"],
    ids=["plain", "ignored", "blocked"],
)
def test_a_command_that_is_asked_to_end_leaves_its_blocks(tmp_path: Path, before: str) -> None:
    script = (
        f"import signal\n{before}\n"
        "import sys, time\nfrom dagster_project.cli import app as program\n"
        "def app(**_):\n    try:\n        print(1, flush=True)\n        while True:\n            time.sleep(0.1)\n"
        "    finally:\n        open(sys.argv[1], 'w').close()\n"
        "program.app = app\nprogram.main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "left")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    process.stdout.close()
    assert (tmp_path / "left").exists()


def test_a_platform_whose_settings_are_broken_is_shown_and_stopped(settings: Settings, start: Start) -> None:
    start("gateway")
    (settings.home / "settings.toml").write_text("engine = search\n")
    code, shown = _run("status")
    assert (code, "gateway" in shown) == (1, True)
    assert "the settings cannot be used" in shown and "is not valid TOML" in shown
    with pytest.raises(SettingsError, match="not valid TOML"):
        CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert _process(settings, "gateway").runs()
    assert "stopped" in _run("down")[1]
    assert records.read_record(settings) is None
    with pytest.raises(SettingsError, match="not valid TOML"):
        CliRunner().invoke(app, ["status"], catch_exceptions=False)


def test_a_mistyped_home_is_not_made_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "hoem"))
    assert "stopped" in _run("status")[1]
    assert not (tmp_path / "hoem").exists()


def test_one_port_for_two_is_refused_at_once(settings: Settings) -> None:
    with pytest.raises(CommandFailed, match="cannot both have port 18999"):
        _run("up", "--port", "18999", "--dagster-port", "18999")
    assert list(settings.home.iterdir()) == []


def test_only_the_owner_reads_the_logs(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "logs"
    private_folder(folder)
    folder.chmod(0o755)
    private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
