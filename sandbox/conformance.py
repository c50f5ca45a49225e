"""The conformance suite of `sandbox.protocol`: each guarantee is a function that checks it on any backend.

`CHECKS` lists the functions. Each takes a `Bench`, and raises `AssertionError` with the guarantee that is broken.
They run real commands and really exceed every limit. Backends from outside Penstock can be checked too.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from . import attacks
from .command_session import BASE_VARIABLES
from .protocol import CommandResult, Environment, Limit, Limits, Sandbox, Session, WorkspaceRefused
from .python import PythonRuntime, python_runtime

SMALL = Limits(
    wall_seconds=600.0,
    cpu_seconds=30.0,
    memory_bytes=256 << 20,
    processes=16,
    file_bytes=8 << 20,
    disk_bytes=64 << 20,
    output_bytes=256 << 10,
)
"""Limits that an attack exceeds soon and that an ordinary small program does not reach."""

_TIMEOUT = 300.0
"""Timeout in seconds of all waits; long, because the machine may be busy."""


@dataclass
class Bench:
    """A backend, an empty host folder for workspaces, and the Python that runs inside the sandbox."""

    sandbox: Sandbox
    folder: Path
    runtime: PythonRuntime = field(default_factory=python_runtime)

    def workspace(self, **files: str) -> Path:
        """A new host folder with the given files; a double underscore in a name means a dot."""
        made = self.folder / f"workspace-{len(list(self.folder.iterdir()))}"
        made.mkdir()
        for name, text in files.items():
            (made / name.replace("__", ".")).write_text(text)
        return made

    def open(self, workspace: Path | None = None, limits: Limits = SMALL, **variables: str) -> Session:
        environment = Environment(
            workspace or self.workspace(), self.runtime.mounts, {**self.runtime.variables, **variables}
        )
        return self.sandbox.open(environment, limits)

    def python(self, session: Session, code: str, limits: Limits | None = None) -> CommandResult:
        return session.run([self.runtime.executable, "-c", code], limits=limits)

    def ends_by(self, limit: Limit, code: str, limits: Limits = SMALL, **files: str) -> CommandResult:
        """Runs Python code in a new session and checks that `limit` ends it, and that the session still works."""
        with self.open(self.workspace(**files), limits) as session:
            result = self.python(session, code)
            expect(result.limit is limit, f"the limit {limit} did not end the command: {_ending(result)}")
            expect(
                result.exit_code is None,
                f"the limit {limit} ended the command, but its exit code is {result.exit_code}",
            )
            if limit is not Limit.DISK:  # a full workspace stays full
                again = session.run(["echo", "still here"], limits=SMALL)
                expect(again.ok, f"after {limit} the session cannot run another command: {_ending(again)}")
        return result


def expect(condition: bool, broken: str) -> None:
    """Raises `AssertionError` with the message `broken` unless `condition` is true."""
    if not condition:
        raise AssertionError(broken)


def _ending(result: CommandResult) -> str:
    tail = (result.stderr or result.stdout)[-300:].decode(errors="replace")
    return f"exit code {result.exit_code}, limit {result.limit}, {result.wall_seconds:.2f} s: {tail}"


def _refuses(what: str, action: Callable[[], object], *kinds: type[Exception]) -> None:
    """Checks that `action` raises an error of one of `kinds`."""
    try:
        action()
    except kinds:
        return
    raise AssertionError(f"{what} is allowed")


# the workspace


def the_workspace_is_a_private_copy(bench: Bench) -> None:
    original = bench.workspace(kept__txt="original")
    with bench.open(original) as session, bench.open(original) as other:
        result = session.run(["sh", "-c", "pwd; cat kept.txt; echo changed > kept.txt; echo new > new.txt"])
        expect(result.stdout == b"/workspace\noriginal", f"not started in a copy of the workspace: {_ending(result)}")
        expect(session.read("kept.txt") == b"changed\n", "a later read does not see what a command wrote")
        again = session.run(["cat", "new.txt"])
        expect(again.stdout == b"new\n", "a later command does not see what an earlier one wrote")
        expect(other.read("kept.txt") == b"original", "another session sees the change")
    expect((original / "kept.txt").read_text() == "original", "the original was written to")
    expect(not (original / "new.txt").exists(), "the original got a new file")


def links_modes_and_times_are_copied(bench: Bench) -> None:
    original = bench.workspace(run__sh="#!/bin/sh\necho ran\n")
    (original / "run.sh").chmod(0o755)
    os.utime(original / "run.sh", (1_600_000_000, 1_600_000_000))
    (original / "inside").symlink_to("run.sh")
    (original / "outside").symlink_to("/etc/shadow")
    (original / "folder").mkdir()
    with bench.open(original) as session:
        result = session.run(["sh", "-c", "./run.sh; readlink inside outside; stat -c %Y run.sh; ls -d folder"])
        expect(
            result.stdout == b"ran\nrun.sh\n/etc/shadow\n1600000000\nfolder\n",
            f"modes, links, times or folders were not copied: {_ending(result)}",
        )


def special_files_and_large_workspaces_are_refused(bench: Bench) -> None:
    with_fifo = bench.workspace()
    os.mkfifo(with_fifo / "pipe")
    _refuses("a workspace with a FIFO", lambda: bench.open(with_fifo), WorkspaceRefused)
    large = bench.workspace(large__txt="x" * 2_000_000)
    _refuses(
        "a workspace above the disk limit",
        lambda: bench.open(large, replace(SMALL, disk_bytes=1_000_000)),
        WorkspaceRefused,
    )


def files_are_read_and_written(bench: Bench) -> None:
    with bench.open() as session:
        session.write("a/b/c.bin", b"\x00\xff")
        expect(session.read("a/b/c.bin") == b"\x00\xff", "what was written is not what is read")
        expect(session.run(["stat", "-c", "%s", "a/b/c.bin"]).stdout == b"2\n", "a command does not see a written file")
        changed = session.run(["sh", "-c", "echo more >> a/b/c.bin && mkdir a/d && touch a/d/e"])
        expect(changed.ok, f"a command cannot change what was written: {_ending(changed)}")
        session.write("a/b/c.bin", b"1")
        expect(session.read("a/b/c.bin") == b"1", "a shorter content does not replace a longer one")
        _refuses("reading a missing file", lambda: session.read("a/none"), FileNotFoundError)
        _refuses("reading a path inside a file", lambda: session.read("a/b/c.bin/d"), FileNotFoundError)
        _refuses("reading a folder", lambda: session.read("a"), ValueError)
        _refuses("reading a file above `max_bytes`", lambda: session.read("a/b/c.bin", 0), ValueError)


def reads_and_writes_stay_in_the_workspace(bench: Bench) -> None:
    secret = bench.folder / "secret"
    secret.write_text("secret")
    links = (
        f"ln -s {secret} file; ln -s {bench.folder} folder; ln -s .. up; ln -s loop loop; ln -s /workspace/real ok; "
        "mkfifo pipe 2>/dev/null || mkdir pipe"
    )
    with bench.open() as session:
        made = session.run(["sh", "-c", links])
        expect(made.ok, f"the hostile links could not be created: {_ending(made)}")
        paths = (str(secret), "../secret", "a/../../secret", "file", "folder/secret", "up/secret", "up/up/etc/passwd")
        for path in (*paths, "loop", "pipe", "", ".", "x\0y"):
            _refuses(f"reading {path!r}", partial(session.read, path), ValueError, FileNotFoundError)
        for path in (str(secret), "../secret", "file", "folder/secret", "folder/made", "up/made", "loop"):
            _refuses(f"writing {path!r}", partial(session.write, path, b"x"), ValueError)
        session.write("ok", b"fine")
        expect(session.read("real") == b"fine", "a link to a file inside the workspace is not followed")
    expect(secret.read_text() == "secret", "a file outside the workspace was written to")
    expect(not (bench.folder / "made").exists(), "a file outside the workspace was created")


def the_workspace_goes_back_to_a_snapshot(bench: Bench) -> None:
    listed = [
        "sh",
        "-c",
        "find . -type f -exec sh -c 'echo $1 $(cat $1)' sh {} \\; -o -type l -printf '%p %l\\n' | sort",
    ]
    original = bench.workspace(one="1", two="2")
    with bench.open(original) as session:
        session.run(
            ["sh", "-c", "mkdir -p a/b && echo deep > a/b/c && ln -s /etc/shadow out && touch -d 2001-01-01 two"]
        )
        first = session.snapshot()
        before = session.run(listed).stdout
        ended = session.run(
            ["sh", "-c", "rm -r a two out; echo changed > one; ln -s one two; mkdir -p a; echo x > a/new; chmod 500 a"]
        )
        expect(ended.ok, f"the workspace could not be changed: {_ending(ended)}")
        second = session.snapshot()
        changed = session.run(listed).stdout
        expect(changed != before, "a command does not see what an earlier one changed")
        for snapshot, wanted in ((first, before), (second, changed), (first, before)):
            session.restore(snapshot)
            found = session.run(listed).stdout
            expect(found == wanted, f"after going back the workspace holds {found!r} and not {wanted!r}")
        expect(session.run(["stat", "-c", "%Y", "two"]).stdout == b"978307200\n", "times of files are not restored")
        expect(session.read("a/b/c") == b"deep\n", "a read does not see what was restored")
        session.drop(second)
        _refuses("going back to a snapshot that was dropped", lambda: session.restore(second), ValueError)
        _refuses("going back to a snapshot that there never was", lambda: session.restore(0), ValueError)
        running = session.start(["sleep", "600"])
        _refuses("going back while a command runs", lambda: session.restore(first), ValueError)
        running.kill()
        session.restore(first)
    expect((original / "one").read_text() == "1", "going back changed the original")


def a_session_closes_whatever_its_workspace_holds(bench: Bench) -> None:
    code = "import os\nfor i in range(600):\n os.mkdir('d'*40); os.chdir('d'*40)\n"
    with bench.open() as session:
        made = bench.python(session, code + "os.mkdir('shut'); os.chmod('shut', 0)")
        expect(made.ok, f"the deep folders could not be created: {_ending(made)}")
    session.close()


# commands


def exit_codes_and_both_outputs_are_returned(bench: Bench) -> None:
    with bench.open() as session:
        result = session.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
        expect((result.exit_code, result.stdout, result.stderr) == (3, b"out\n", b"err\n"), _ending(result))
        expect(not result.ok and result.limit is None, "a failing command is ok or has a limit")
        expect(session.run(["sh", "-c", "kill -SEGV $$"]).exit_code == 139, "killed by signal n is not 128 + n")
        expect(session.run(["no-such-program"]).exit_code == 127, "a missing program is not 127")
        expect(
            session.run(["printf", "%s|", "a b", "$HOME", ""]).stdout == b"a b|$HOME||",
            "arguments are interpreted by a shell",
        )


def standard_input_is_passed_and_closed(bench: Bench) -> None:
    large = bytes(range(256)) * 512
    with bench.open() as session:
        expect(
            session.run(["wc", "-c"]).stdout.strip() == b"0", "without input the command does not read the end of input"
        )
        expect(session.run(["cat"], stdin=large).stdout == large, "input is changed on the way")
        expect(session.run(["true"], stdin=large * 16).ok, "a command that ignores its input fails")


def lines_are_exchanged_with_a_command(bench: Bench) -> None:
    with bench.open() as session:
        process = session.start(["sh", "-c", 'while read line; do echo "<$line>"; done; echo bye; exit 4'])
        for number in range(50):
            process.write_line(b"%d" % number)
            expect(process.read_line(_TIMEOUT) == b"<%d>" % number, "lines are not answered one by one")
        try:
            line = process.read_line(0.05)
            raise AssertionError(f"read_line returned {line!r} without a line")
        except TimeoutError:
            pass
        session.write("beside.txt", b"seen")
        result = process.finish(_TIMEOUT)
        expect(result.exit_code == 4 and result.stdout == b"bye\n", f"finish: {_ending(result)}")
        expect(process.read_line(_TIMEOUT) in (None, b"bye"), "after the end there is another line")
        expect(process.read_line(_TIMEOUT) is None, "after the end there is another line")
        _refuses("writing to an ended command", lambda: process.write_line(b"x"), BrokenPipeError)


def a_command_that_does_not_finish_is_killed(bench: Bench) -> None:
    with bench.open() as session:
        stubborn = session.start(["sh", "-c", "trap '' TERM INT HUP; echo ready; for i in $(seq 60); do sleep 1; done"])
        expect(stubborn.read_line(_TIMEOUT) == b"ready", "the first line of a command is not returned")
        result = stubborn.finish(0.1)
        expect(result.exit_code is None and result.limit is None, f"killed by finish: {_ending(result)}")
        killed = session.start(["sleep", "1000"])
        killed.kill()
        killed.kill()
        expect(killed.read_line(_TIMEOUT) is None, "a killed command still has output")
        expect(killed.finish().exit_code is None, "a killed command has an exit code")


def nothing_outlives_its_command(bench: Bench) -> None:
    """A daemon by double fork, in its own session, that ignores signals, writes a heartbeat into the workspace."""
    code = (
        "import os, signal, time\n"
        "for number in range(1, 32):\n"
        "    try: signal.signal(number, signal.SIG_IGN)\n"
        "    except OSError: pass\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        for descriptor in range(3): os.close(descriptor)\n"
        "        for _ in range(3000):\n"
        "            open('beat', 'a').write('x'); time.sleep(0.01)\n"
        "    os._exit(0)\n"
        "while not os.path.exists('beat'): time.sleep(0.01)\n"
    )
    endings = {
        "its own end": (code, SMALL),
        "a limit": (code + attacks.endless_output("stdout"), SMALL),
    }
    for ending, (program, limits) in endings.items():
        with bench.open() as session:
            result = bench.python(session, program, limits)
            expect((result.exit_code == 0) != (result.limit is Limit.OUTPUT), f"the daemon's parent: {_ending(result)}")
            before = session.read("beat")
            time.sleep(0.1)
            expect(session.read("beat") == before, f"a daemon outlives {ending} of its command")


def closing_a_session_ends_its_commands(bench: Bench) -> None:
    session = bench.open()
    process = session.start(["sh", "-c", "echo ready; sleep 60"])
    expect(process.read_line(_TIMEOUT) == b"ready", "the first line of a command is not returned")
    session.close()
    session.close()
    expect(process.read_line(_TIMEOUT) is None, "a command outlives its session")
    _refuses("running in a closed session", lambda: session.run(["true"]), RuntimeError)


def only_requested_variables_are_set(bench: Bench) -> None:
    os.environ["PENSTOCK_CONFORMANCE_SECRET"] = "secret"  # noqa: S105 - not a secret: the command searches for it
    try:
        with bench.open(ASKED="yes") as session:
            result = session.run(["env", "-0"], variables={"MORE": "a\nb", "ASKED": "again"})
    finally:
        del os.environ["PENSTOCK_CONFORMANCE_SECRET"]
    seen = dict(entry.split("=", 1) for entry in result.stdout.decode().split("\0") if entry)
    expect(seen.get("ASKED") == "again" and seen.get("MORE") == "a\nb", f"requested variables are not set: {seen}")
    allowed = {"ASKED", "MORE", *BASE_VARIABLES, "PWD", "OLDPWD", "SHLVL", "_", *bench.runtime.variables}
    expect(set(seen) <= allowed, f"variables of the host are inherited: {set(seen) - allowed}")


def descriptors_are_not_inherited(bench: Bench) -> None:
    with bench.open() as session, (bench.folder / "open.txt").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        code = "import os\nprint(sorted(int(n) for n in os.listdir('/proc/self/fd')))"
        result = bench.python(session, code)
    expect(result.stdout in (b"[0, 1, 2, 3]\n", b"[0, 1, 2]\n"), f"descriptors are inherited: {_ending(result)}")


# limits


def wall_time_is_limited(bench: Bench) -> None:
    result = bench.ends_by(Limit.WALL, "import time; time.sleep(600)", replace(SMALL, wall_seconds=0.5))
    expect(0.5 <= result.wall_seconds < _TIMEOUT, f"a limit of 0.5 s of wall time took {result.wall_seconds:.2f} s")


def cpu_time_is_limited(bench: Bench) -> None:
    bench.ends_by(Limit.CPU, attacks.BURN_CPU, replace(SMALL, cpu_seconds=0.5))


def cpu_time_is_limited_over_all_processes(bench: Bench) -> None:
    bench.ends_by(Limit.CPU, attacks.BURN_CPU_IN_CHILDREN, replace(SMALL, cpu_seconds=1.0))


def memory_is_limited(bench: Bench) -> None:
    bench.ends_by(Limit.MEMORY, attacks.FILL_MEMORY)


def memory_is_limited_over_all_processes(bench: Bench) -> None:
    bench.ends_by(Limit.MEMORY, attacks.FILL_MEMORY_IN_CHILDREN)


def memory_in_temporary_files_is_limited(bench: Bench) -> None:
    with bench.open() as session:
        result = bench.python(session, attacks.FILL_TEMPORARY_FOLDERS)
        limited = result.limit is Limit.MEMORY or (result.ok and int(result.stdout) << 20 <= SMALL.memory_bytes)
        expect(limited, f"in-memory folders held more than the memory limit: {_ending(result)}")


def shared_memory_is_counted_once(bench: Bench) -> None:
    code = (
        "import os, time\n"
        "x = b'x' * (100 << 20)\n"
        "children = []\n"
        "for _ in range(6):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        time.sleep(0.5); os._exit(0)\n"
        "    children.append(child)\n"
        "for child in children: os.waitpid(child, 0)\n"
    )
    with bench.open() as session:
        result = bench.python(session, code)
        expect(result.ok, f"memory that children share with their parent is counted more than once: {_ending(result)}")


def processes_are_limited(bench: Bench) -> None:
    # With more memory, because this many interpreters may reach the memory limit first.
    bench.ends_by(Limit.PROCESSES, attacks.FORK_BOMB, replace(SMALL, memory_bytes=2 << 30))


def threads_are_limited(bench: Bench) -> None:
    with bench.open() as session:
        result = bench.python(session, attacks.MANY_THREADS)
        limited = result.limit is Limit.PROCESSES or (result.ok and int(result.stdout) <= 8 * SMALL.processes)
        expect(limited, f"more threads than eight times the process limit: {_ending(result)}")


def a_single_file_is_limited(bench: Bench) -> None:
    bench.ends_by(Limit.FILE_SIZE, attacks.GIANT_FILE)
    bench.ends_by(Limit.FILE_SIZE, attacks.GIANT_FILE_DEAF)


def the_workspace_is_limited(bench: Bench) -> None:
    bench.ends_by(Limit.DISK, attacks.MANY_FILES)


def deleted_but_open_files_count(bench: Bench) -> None:
    bench.ends_by(Limit.DISK, attacks.DELETED_OPEN_FILES)


def output_is_limited(bench: Bench) -> None:
    for stream in ("stdout", "stderr"):
        result = bench.ends_by(Limit.OUTPUT, attacks.endless_output(stream))
        size = len(getattr(result, stream))
        expect(size == SMALL.output_bytes, f"{size} bytes of {stream} were returned, not {SMALL.output_bytes}")


def limits_hold_while_nobody_reads(bench: Bench) -> None:
    with bench.open() as session:
        process = session.start(["sh", "-c", "echo ready; exec yes >&2"])
        expect(process.read_line(_TIMEOUT) == b"ready", "the first line of a command is not returned")
        expect(process.read_line(_TIMEOUT) is None, "output continues after the limit")
        result = process.finish(_TIMEOUT)
        expect(result.limit is Limit.OUTPUT, f"the output of a started command is not limited: {_ending(result)}")


def many_sessions_work_at_the_same_time(bench: Bench) -> None:
    sessions = [bench.open(bench.workspace(number__txt=str(number))) for number in range(4)]
    try:
        processes = [session.start(["sh", "-c", "cat number.txt; echo; sleep 0.2"]) for session in sessions]
        lines = [process.read_line(_TIMEOUT) for process in processes]
        expect(lines == [b"0", b"1", b"2", b"3"], f"sessions are mixed up: {lines}")
        expect(all(process.finish(_TIMEOUT).ok for process in processes), "a command failed")
    finally:
        for session in sessions:
            session.close()


CHECKS: tuple[Callable[[Bench], None], ...] = (
    the_workspace_is_a_private_copy,
    links_modes_and_times_are_copied,
    special_files_and_large_workspaces_are_refused,
    files_are_read_and_written,
    reads_and_writes_stay_in_the_workspace,
    the_workspace_goes_back_to_a_snapshot,
    a_session_closes_whatever_its_workspace_holds,
    exit_codes_and_both_outputs_are_returned,
    standard_input_is_passed_and_closed,
    lines_are_exchanged_with_a_command,
    a_command_that_does_not_finish_is_killed,
    nothing_outlives_its_command,
    closing_a_session_ends_its_commands,
    only_requested_variables_are_set,
    descriptors_are_not_inherited,
    wall_time_is_limited,
    cpu_time_is_limited,
    cpu_time_is_limited_over_all_processes,
    memory_is_limited,
    memory_is_limited_over_all_processes,
    memory_in_temporary_files_is_limited,
    shared_memory_is_counted_once,
    processes_are_limited,
    threads_are_limited,
    a_single_file_is_limited,
    the_workspace_is_limited,
    deleted_but_open_files_count,
    output_is_limited,
    limits_hold_while_nobody_reads,
    many_sessions_work_at_the_same_time,
)
