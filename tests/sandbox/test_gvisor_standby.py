"""gVisor sandboxes that are booted before their command is known: the same command, result and limits as without."""

import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.gvisor_standby import StandbyLauncher
from sandbox.process_tree import children
from sandbox.protocol import Environment, Limit, Limits, Sandbox
from sandbox.session import PrivateSession

LIMITS = Limits(wall_seconds=120)
DEADLINE = 120.0


@pytest.fixture
def session(tmp_path: Path, gvisor: Sandbox) -> Iterator[PrivateSession]:
    """A session in which a sandbox stands by."""
    (tmp_path / "file").write_text("content")
    with gvisor.open(Environment(tmp_path, variables={"GIVEN": "by the session"}), LIMITS) as opened:
        assert isinstance(opened, PrivateSession)
        assert opened.run(["/bin/true"]).ok
        standby_of(opened)
        yield opened


def standby_of(session: PrivateSession) -> int:
    """The pid of runsc of the sandbox that stands by, once it is there."""
    launcher = session._launch
    assert isinstance(launcher, StandbyLauncher)
    deadline = time.monotonic() + DEADLINE
    while launcher._ready is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return launcher._ready.sandboxed._process.pid


def used(session: PrivateSession) -> bool:
    launcher = session._launch
    assert isinstance(launcher, StandbyLauncher)
    return launcher._ready is None


def test_arguments_variables_and_input_arrive_as_they_are(session: PrivateSession) -> None:
    odd = "a 'b' \"c\" $HOME `id` \\n\nd\té\udcff*"
    script = "import os,sys; sys.stdout.buffer.write(b'|'.join([*map(os.fsencode, sys.argv[1:]), os.environb[b'ODD'], "\
             "os.environb[b'not.plain'], os.environb[b'GIVEN'], sys.stdin.buffer.read()]))"  # fmt: skip
    done = session.run(["python3", "-c", script, odd, "-x", ""], stdin=b"\x00input\nmore",
                       variables={"ODD": odd, "not.plain": odd})  # fmt: skip
    encoded = os.fsencode(odd)
    assert done.stdout.split(b"|") == [encoded, b"-x", b"", encoded, encoded, b"by the session", b"\x00input\nmore"]
    assert done.stderr == b""
    assert done.exit_code == 0


def test_no_variable_comes_from_booting_ahead(session: PrivateSession) -> None:
    ahead = session.run(["/usr/bin/env"]).stdout
    fresh = session.run(["/usr/bin/env"], limits=replace(LIMITS, processes=63)).stdout
    assert sorted(ahead.splitlines()) == sorted(fresh.splitlines())


@pytest.mark.parametrize(("argv", "code"), [(["/bin/sh", "-c", "exit 7"], 7), (["no-such-program"], 127)])
def test_exit_codes(session: PrivateSession, argv: list[str], code: int) -> None:
    assert session.run(argv).exit_code == code


def test_it_is_used_once_and_sees_what_was_written_since(session: PrivateSession) -> None:
    session.write("file", b"changed")
    session.write("new/one", b"1")
    process = session.start(["/bin/sh", "-c", "cat file new/one; echo; read line; echo got $line"])
    assert used(session), "the one that stood by has the command"
    assert process.read_line(DEADLINE) == b"changed1"
    process.write_line(b"it")
    assert process.read_line(DEADLINE) == b"got it"
    assert process.finish(DEADLINE).exit_code == 0


def test_other_limits_need_another_sandbox(session: PrivateSession) -> None:
    done = session.run(["/bin/sh", "-c", "ulimit -f"], limits=replace(LIMITS, file_bytes=1 << 20))
    assert done.stdout.split() == [b"2048"]


def test_limits_hold_in_it(session: PrivateSession) -> None:
    done = session.run(["/bin/sh", "-c", "while :; do :; done"], limits=replace(LIMITS, wall_seconds=0.5))
    assert done.limit is Limit.WALL
    standby_of(session)
    assert session.run(["/bin/sh", "-c", "yes"], limits=replace(LIMITS, output_bytes=10_000)).limit is Limit.OUTPUT


def test_one_that_died_is_replaced(session: PrivateSession) -> None:
    runsc = standby_of(session)
    handle = os.pidfd_open(runsc)
    for pid in (*children(runsc), runsc):
        os.kill(pid, signal.SIGKILL)
    assert select.select([handle], [], [], DEADLINE)[0]
    os.close(handle)
    assert session.run(["cat", "file"]).stdout == b"content"


def test_it_ends_with_the_session(session: PrivateSession) -> None:
    standby_of(session)
    folder = session._scratch.folder
    session.close()
    assert not folder.exists()
    assert not [process for process in Path("/proc").glob("[0-9]*") if _names(process, str(folder))]


def _names(process: Path, folder: str) -> bool:
    try:
        return folder.encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False
