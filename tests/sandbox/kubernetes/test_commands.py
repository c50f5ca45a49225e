"""Commands in pods: what the conformance suite of the protocol does not ask for, because it is peculiar to pods."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import websocket

from sandbox import attacks
from sandbox.bubblewrap import programs
from sandbox.kubernetes import archives
from sandbox.kubernetes import backend as backend_module
from sandbox.kubernetes.backend import KubernetesSandbox, owner, process_identity
from sandbox.kubernetes.channels import Channels
from sandbox.kubernetes.manifests import EXPIRES_ANNOTATION, OWNER_LABEL, PROCESS_ANNOTATION
from sandbox.kubernetes.options import PodOptions
from sandbox.protocol import Environment, Limit, Limits, SandboxUnavailable, Session, WorkspaceRefused

from .conftest import kubeconfig
from .fake_cluster import NAMESPACE, FakeCluster
from .fake_pod import INTERPRETER

SMALL = Limits(
    wall_seconds=300.0, cpu_seconds=30.0, memory_bytes=256 << 20, processes=16, file_bytes=8 << 20,
    disk_bytes=64 << 20, output_bytes=8 << 20,
)  # fmt: skip


@pytest.fixture
def session(sandbox: KubernetesSandbox, tmp_path: Path) -> Iterator[Session]:
    (tmp_path / "workspace").mkdir()
    with sandbox.open(Environment(tmp_path / "workspace"), SMALL) as opened:
        yield opened


def test_neither_arguments_nor_variables_nor_paths_are_in_an_address(cluster: FakeCluster, session: Session) -> None:
    """The API server logs addresses."""
    result = session.run(["echo", "secret-1"], variables={"NAME": "secret-2"}, stdin=b"secret-3")
    session.write("secret-4", b"secret-5")
    assert result.stdout == b"secret-1\n" and session.read("secret-4") == b"secret-5"
    assert len(cluster.scripts) >= 5
    assert not any("secret" in text for text in cluster.scripts)


def test_arguments_of_many_lines_arrive(session: Session) -> None:
    text = "".join(f"line {number}\n" for number in range(2000)) + "\\ '\" $HOME `x` é 漢字 \x01\x7f\n\n"
    assert session.run(["printf", "%s", text]).stdout == text.encode()


def test_a_process_left_in_the_background_does_not_hold_the_command(session: Session) -> None:
    result = session.run(["sh", "-c", "sleep 600 & setsid sleep 600 & echo started; exit 5"])
    assert (result.exit_code, result.stdout) == (5, b"started\n")
    assert result.wall_seconds < 300


def test_much_output_of_a_command_that_does_not_read_its_input_blocks_nothing(session: Session) -> None:
    code = "head -c 16000000 /dev/zero; wc -c"
    result = session.run(["sh", "-c", code], stdin=b"x" * 8_000_000, limits=replace(SMALL, output_bytes=32 << 20))
    assert result.limit is None
    assert result.stdout.endswith(b"\x008000000\n") and len(result.stdout) == 16_000_008


def test_lines_may_hold_any_byte(session: Session) -> None:
    process = session.start(["cat"])
    line = bytes(value for value in range(256) if value != 10) * 20
    process.write_line(line)
    assert process.read_line(60) == line
    process.write_line(b"")
    assert process.read_line(60) == b""
    assert process.finish(60).exit_code == 0


def test_a_command_that_kills_everything_kills_only_itself(session: Session) -> None:
    assert session.run(["sh", "-c", "kill -KILL -1; kill -KILL $$"]).exit_code == 137
    assert session.run(["echo", "alive"]).stdout == b"alive\n"


def test_a_command_beside_a_running_one_leaves_it_alone_and_its_own_remains_are_killed(session: Session) -> None:
    running = session.start(["sh", "-c", 'sleep 600 & echo $!; while read line; do echo "<$line>"; done'])
    child = running.read_line(60)
    assert child is not None
    beside = session.run(["sh", "-c", "setsid sleep 601 >/dev/null 2>&1 & echo done"])
    assert beside.stdout == b"done\n"
    running.write_line(b"still here")
    assert running.read_line(60) == b"<still here>"
    seen = session.run(["sh", "-c", "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done"])
    assert b"sleep 600 " in seen.stdout and b"sleep 601 " not in seen.stdout
    assert running.finish(60).exit_code == 0
    seen = session.run(["sh", "-c", "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done"])
    assert b"sleep 600 " not in seen.stdout


def test_temporary_files_do_not_outlive_a_command(session: Session) -> None:
    assert session.run(["sh", "-c", "mkdir -p /tmp/.a/b/c && chmod 0 /tmp/.a/b && echo x >/dev/shm/c"]).ok
    assert session.run(["ls", "-A", "/tmp", "/dev/shm"]).stdout == b"/dev/shm:\n\n/tmp:\n"


def test_a_file_at_its_limit_ends_the_command(session: Session) -> None:
    for code in (attacks.GIANT_FILE, "import signal; signal.signal(25, signal.SIG_DFL)\n" + attacks.GIANT_FILE):
        assert session.run([str(INTERPRETER), "-c", code]).limit is Limit.FILE_SIZE
    assert session.run(["true"]).ok


def test_a_workspace_above_its_limit_is_reported_when_the_command_ends(session: Session) -> None:
    code = "for i in $(seq 10); do head -c 8000000 /dev/urandom >file-$i; done"
    result = session.run(["sh", "-c", code])
    assert (result.limit, result.exit_code) == (Limit.DISK, None)


def test_a_file_that_cannot_be_opened_is_refused(session: Session) -> None:
    assert session.run(["sh", "-c", "echo x >shut; chmod 0 shut; mkdir folder; ln -s /etc/passwd link"]).ok
    for path in ("shut", "folder", "link", "/etc/passwd", "../etc/passwd", "a\0b", ""):
        with pytest.raises(ValueError, match=r"workspace|regular|opened"):
            session.read(path)
    for path in ("shut", "folder", "link", "given/../../x", "a\0b", "/x"):
        with pytest.raises(ValueError, match=r"workspace|regular|opened"):
            session.write(path, b"x")


def test_a_written_file_keeps_its_mode(session: Session) -> None:
    session.write("script", b"#!/bin/sh\necho one\n")
    assert session.run(["chmod", "755", "script"]).ok
    session.write("script", b"#!/bin/sh\necho 2\n")
    assert session.run(["./script"]).stdout == b"2\n"


def test_a_snapshot_is_refused_for_what_a_session_cannot_start_from(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = session.snapshot()
    assert session.run(["mkfifo", "pipe"]).ok
    with pytest.raises(WorkspaceRefused, match="pipe"):
        session.snapshot()
    assert session.run(["sh", "-c", "rm pipe; truncate -s 8M file-1 && cp file-1 file-2"]).ok
    monkeypatch.setattr(session._snapshots, "_max_bytes", 9_000_000)  # type: ignore[attr-defined]
    with pytest.raises(WorkspaceRefused, match="larger than 9,000,000 bytes"):
        session.snapshot()
    monkeypatch.setattr(archives, "_HEADERS", 512)
    monkeypatch.setattr(session._snapshots, "_max_bytes", 4_000_000)  # type: ignore[attr-defined]
    with pytest.raises(WorkspaceRefused, match="larger than 4,000,000 bytes"):
        session.snapshot()
    session.restore(empty)
    assert session.run(["ls", "-A"]).stdout == b""


def test_going_back_removes_what_cannot_be_read_and_no_command_can_change_a_snapshot(
    session: Session, tmp_path: Path
) -> None:
    session.write("kept", b"1")
    snapshot = session.snapshot()
    assert session.run(["sh", "-c", "mkdir -p a/b/c && chmod 0 a/b; ln -s /etc/passwd .hidden; echo 2 >kept"]).ok
    session.restore(snapshot)
    assert session.run(["sh", "-c", "ls -A; cat kept"]).stdout == b"kept\n1"


def test_a_session_that_cannot_go_back_is_closed(session: Session, cluster: FakeCluster) -> None:
    snapshot = session.snapshot()
    (pod,) = cluster.pods.values()
    del cluster.pods[pod.name]
    pod.delete()
    with pytest.raises(SandboxUnavailable):
        session.restore(snapshot)
    with pytest.raises(SandboxUnavailable, match="closed"):
        session.run(["true"])


@pytest.fixture
def bubblewrap_line() -> list[str]:
    """A prefix that runs a command in a PID namespace of its own."""
    return [str(next(iter(programs()))), "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc"]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Of 127.0.0.1, and its key."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return certificate, key


def test_output_arrives_whole_through_tls_of_a_known_server_only(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    cluster = FakeCluster(tmp_path / "node", {}, certificate)
    try:
        address = f"https://127.0.0.1:{cluster.port}"
        trusting = kubeconfig(tmp_path, address, **{"certificate-authority": str(certificate[0])})
        options = PodOptions(NAMESPACE, "image", tmp_path, config=trusting)
        (tmp_path / "workspace").mkdir()
        with KubernetesSandbox(options).open(Environment(tmp_path / "workspace"), SMALL) as session:
            result = session.run(["sh", "-c", "head -c 3000000 /dev/zero; cat"], stdin=b"x" * 100_000)
            assert len(result.stdout) == 3_100_000
        (tmp_path / "other").mkdir()
        distrusting = kubeconfig(tmp_path / "other", address)
        problem = KubernetesSandbox(replace(options, config=distrusting)).available()
        assert problem is not None and "certificate" in problem.lower()
    finally:
        cluster.close()


def test_a_message_that_tls_has_decrypted_already_is_not_waited_for(certificate: tuple[Path, Path]) -> None:
    """Two messages in one TLS record: after the first, nothing arrives on the socket any more."""
    near, far = socket.socketpair()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*certificate)
    shaking = threading.Thread(target=lambda: server.append(serving.wrap_socket(far, server_side=True)))
    server: list[ssl.SSLSocket] = []
    shaking.start()
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    client = websocket.WebSocket()
    client.sock = trusting.wrap_socket(near, server_hostname="127.0.0.1")
    shaking.join()
    server[0].sendall(b"\x82\x04\x01one\x82\x04\x01two")  # binary frames of four bytes, not masked
    channels = Channels(client)
    try:
        for text in (b"one", b"two"):
            assert channels.wait(60) == (True, False)
            assert channels.receive() == (1, text)
            if text == b"one":
                assert channels.wait(0) == (True, False)
    finally:
        channels.close()
        server[0].close()


# what dead workers leave behind


def annotate(cluster: FakeCluster, sandbox: KubernetesSandbox, folder: Path, **changes: str) -> str:
    """A pod that was made by somebody else; its name."""
    folder.mkdir(exist_ok=True)
    before = set(cluster.pods)
    sandbox.open(Environment(folder))
    (name,) = set(cluster.pods) - before
    metadata = cluster.pods[name].manifest["metadata"]
    metadata["labels"] = {**metadata["labels"], **({OWNER_LABEL: changes["owner"]} if "owner" in changes else {})}
    annotations = {"process": PROCESS_ANNOTATION, "expires": EXPIRES_ANNOTATION}
    for key, annotation in annotations.items():
        if key in changes:
            metadata["annotations"][annotation] = changes[key]
    return name


def test_pods_of_dead_processes_and_expired_ones_are_swept_and_no_others(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    folder = tmp_path / "workspace"
    live = annotate(cluster, sandbox, folder)
    elsewhere = annotate(cluster, sandbox, folder, owner="another-machine", process="1-1")
    dead = annotate(cluster, sandbox, folder, process=f"{os.getpid()}-1")
    expired = annotate(cluster, sandbox, folder, owner="another-machine", expires="1000")
    assert sorted(sandbox.sweep()) == sorted([dead, expired])
    assert set(cluster.pods) == {live, elsewhere}
    assert sandbox.sweep() == []


def test_a_process_is_known_by_its_start_too() -> None:
    assert process_identity(os.getpid()).startswith(f"{os.getpid()}-")
    child = subprocess.Popen(["true"])
    child.wait()
    assert process_identity(child.pid) == ""
    assert len(owner()) == 32


def test_a_process_in_another_pid_namespace_is_of_another_owner(bubblewrap_line: list[str]) -> None:
    code = "from sandbox.kubernetes.backend import owner; print(owner())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*bubblewrap_line, sys.executable, "-c", code], capture_output=True, timeout=120, check=True, env=environment
    )
    assert len(done.stdout.strip()) == 32 and done.stdout.strip().decode() != owner()


def test_the_pod_of_a_killed_worker_is_removed_by_the_next_one(
    sandbox: KubernetesSandbox,
    options: PodOptions,
    cluster: FakeCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "workspace").mkdir()
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from sandbox.kubernetes.backend import KubernetesSandbox\n"
        "from sandbox.kubernetes.options import PodOptions\nfrom sandbox.protocol import Environment\n"
        "folder = Path(sys.argv[1])\n"
        f"options = PodOptions({options.namespace!r}, 'image', folder, config=folder / 'kubeconfig')\n"
        "KubernetesSandbox(options).open(Environment(folder / 'workspace'))\nos._exit(9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 9, done.stderr.decode()
    (left,) = cluster.pods
    monkeypatch.setattr(backend_module, "_swept", set())
    with sandbox.open(Environment(tmp_path / "workspace")):
        assert left not in cluster.pods and len(cluster.pods) == 1
