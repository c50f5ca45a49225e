"""When the process that opened a session is killed, so is everything that it started."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from sandbox.protocol import Sandbox

OPENER = """
import sys, time
from pathlib import Path
from sandbox import open_sandbox
from sandbox.protocol import Environment, Limits
session = open_sandbox(sys.argv[1], scratch=Path(sys.argv[3])).open(Environment(Path(sys.argv[2])))
beat = "trap '' TERM HUP INT; while echo x >> beat; do sleep 0.02; done"
daemon = f"(setsid timeout -s KILL 600 sh -c \\"{beat}\\" >/dev/null 2>&1 &)"
process = session.start(["sh", "-c", f"{daemon}; echo started; sleep 600"])
assert process.read_line(300.0) == b"started"
print("ready", flush=True)
time.sleep(600)
"""


def naming(marker: str) -> list[int]:
    """The processes whose command line contains the marker."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if marker.encode() in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue
    return found


def test_a_killed_parent_leaves_nothing_running(backend: Sandbox, tmp_path: Path) -> None:
    workspace, scratch = tmp_path / "workspace", tmp_path / "scratch"
    workspace.mkdir()
    scratch.mkdir()
    program = [sys.executable, "-c", OPENER, backend.name, str(workspace), str(scratch)]
    opener = subprocess.Popen(program, stdout=subprocess.PIPE)
    assert opener.stdout is not None
    try:
        assert opener.stdout.readline() == b"ready\n"
        beat = next(scratch.glob("*/workspace")) / "beat"
        deadline = time.monotonic() + 300
        while not beat.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert beat.exists()
        assert len(naming(str(scratch))) > 1
    finally:
        opener.send_signal(signal.SIGKILL)
        opener.wait()
        opener.stdout.close()
    deadline = time.monotonic() + 300
    while naming(str(scratch)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert naming(str(scratch)) == []
    beats = beat.stat().st_size
    time.sleep(0.15)
    assert beat.stat().st_size == beats
