"""What goes wrong in a cluster is `SandboxUnavailable`, never the failure of a command, and never an endless wait."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.kubernetes import cluster as requests_module
from sandbox.kubernetes import session as session_module
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.options import PodOptions
from sandbox.protocol import Environment, Limit, Limits, SandboxUnavailable, Session

from .conftest import kubeconfig
from .fake_cluster import FakeCluster, Fault, is_exec
from .fake_pod import FakePod


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(session_module, "_FATE_SECONDS", 1.0)


@contextmanager
def opened(sandbox: KubernetesSandbox, folder: Path, limits: Limits = Limits()) -> Iterator[Session]:  # noqa: B008
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "given").write_text("given")
    with sandbox.open(Environment(workspace), limits) as session:
        yield session


def only_pod(cluster: FakeCluster) -> FakePod:
    (pod,) = cluster.pods.values()
    return pod


def creating(method: str, path: str) -> bool:
    return method == "POST"


# requests


@pytest.mark.parametrize("status", [408, 410, 429, 500, 503])
def test_a_passing_failure_is_tried_again(
    status: int, sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.faults += [Fault(creating, status, 2, headers={"Retry-After": "0"}), Fault(is_exec, status, 2)]
    with opened(sandbox, tmp_path) as session:
        assert session.read("given") == b"given"


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (302, "moved", "moved"),
        (401, "Unauthorized", "deploy/kubernetes/sandboxes.yaml"),
        (403, "pods is forbidden", "deploy/kubernetes/sandboxes.yaml"),
        (403, "exceeded quota: sandboxes", "exceeded quota"),
        (404, 'namespaces "x" not found', "deploy/kubernetes/sandboxes.yaml"),
        (409, "already exists", "already exists"),
        (422, "Pod is invalid", "Pod is invalid"),
    ],
)
def test_a_refusal_is_not_tried_again_and_says_what_to_do(
    status: int, message: str, said: str, sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.faults.append(Fault(creating, status, 9, message))
    with pytest.raises(SandboxUnavailable, match=said), opened(sandbox, tmp_path):
        pass
    assert sum(method == "POST" for method, _ in cluster.requests) == 1
    assert not cluster.pods


def test_a_server_that_keeps_failing_is_given_up(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.faults.append(Fault(creating, 503, 99))
    with pytest.raises(SandboxUnavailable, match=r"cannot be created: injected .status 503"), opened(sandbox, tmp_path):
        pass


def test_a_pod_whose_creation_was_not_confirmed_is_used(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.faults.append(Fault(creating, 500, after=True))
    with opened(sandbox, tmp_path) as session:
        assert session.run(["true"]).ok
    assert not cluster.pods


def test_an_address_without_a_server_is_named(options: PodOptions, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    sandbox = KubernetesSandbox(replace(options, config=kubeconfig(tmp_path / "other", "http://127.0.0.1:9")))
    with pytest.raises(SandboxUnavailable, match=r"127\.0\.0\.1:9 does not answer"), opened(sandbox, tmp_path):
        pass


def test_a_redirect_is_not_followed(sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path) -> None:
    elsewhere = {"Location": f"http://127.0.0.1:{cluster.port}/elsewhere"}
    cluster.faults.append(Fault(is_exec, 302, 9, headers=elsewhere))
    with pytest.raises(SandboxUnavailable, match="Redirect"), opened(sandbox, tmp_path):
        pass
    cluster.faults.append(Fault(creating, 302, 9, headers=elsewhere))
    with pytest.raises(SandboxUnavailable, match=r"injected .status 302"), opened(sandbox, tmp_path / "claim"):
        pass
    assert not any(path == "/elsewhere" for _, path in cluster.requests)


# pods that do not start


def unschedulable(pod: FakePod) -> None:
    pod.conditions = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
    ]


def without_image(pod: FakePod) -> None:
    pod.container_state = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}


def evicted(pod: FakePod) -> None:
    pod.phase, pod.reason, pod.message = "Failed", "Evicted", "The node was low on resource: memory"


@pytest.mark.parametrize(
    ("hold", "said"),
    [
        (unschedulable, "did not start in 1 s: .*Unschedulable: 0/3 nodes are available"),
        (without_image, "cannot start: ImagePullBackOff: Back-off pulling image"),
        (evicted, "ended before it ran: Evicted: The node was low on resource"),
    ],
)
def test_a_pod_that_does_not_start_is_removed_and_its_reason_told(
    hold: Callable[[FakePod], None], said: str, options: PodOptions, cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.hold = hold
    sandbox = KubernetesSandbox(replace(options, start_seconds=1.0))
    with pytest.raises(SandboxUnavailable, match=said), opened(sandbox, tmp_path):
        pass
    assert not cluster.pods


# what happens while a command runs


def during(session: Session, act: Callable[[], object], code: str = "echo ready; sleep 600") -> Any:
    """Starts a command, acts once it runs, and returns its result."""
    process = session.start(["sh", "-c", code])
    assert process.read_line(60) == b"ready"
    act()
    assert process.read_line(120) is None
    return process.finish(120)


def test_a_lost_connection_is_no_failure_of_the_command_and_leaves_nothing_running(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    with opened(sandbox, tmp_path) as session:
        pod = only_pod(cluster)
        with pytest.raises(SandboxUnavailable, match="connection was lost"):
            during(session, lambda: cluster.cut(pod.name))
        seen = session.run(["sh", "-c", "for f in /proc/[0-9]*/comm; do cat $f; done; cat given"])
        assert seen.stdout.count(b"sleep\n") == 1 and seen.stdout.endswith(b"given")  # that of the first process


def test_a_container_killed_for_its_memory_is_the_limit_and_comes_back_with_the_workspace(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    with opened(sandbox, tmp_path) as session:
        result = during(
            session, lambda: only_pod(cluster).kill_container(oom=True), "echo made >new; echo ready; sleep 600"
        )
        assert (result.limit, result.exit_code) == (Limit.MEMORY, None)
        assert session.run(["cat", "new", "given"]).stdout == b"made\ngiven"


def test_a_container_that_ended_for_another_reason_is_no_failure_of_the_command(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    with opened(sandbox, tmp_path) as session:
        with pytest.raises(SandboxUnavailable, match="was restarted: Error"):
            during(session, lambda: only_pod(cluster).kill_container(oom=False))
        assert session.run(["cat", "given"]).stdout == b"given"


def test_a_process_killed_for_its_memory_is_the_limit(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    with opened(sandbox, tmp_path) as session:
        only_pod(cluster).memory_events.write_text("max 7\noom 1\noom_kill 1\n")
        assert session.run(["true"]).limit is Limit.MEMORY
        assert session.run(["true"]).ok


@pytest.mark.parametrize(
    ("reason", "message", "limit"),
    [
        ("Evicted", 'Usage of EmptyDir volume "workspace" exceeds the limit "1088Mi": emptyDir', Limit.DISK),
        ("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1152Mi.", Limit.DISK),
        ("Evicted", "The node was low on resource: memory.", None),
        ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline", None),
    ],
)
def test_a_pod_that_the_node_ends_is_a_limit_only_for_its_own_disk(
    reason: str, message: str, limit: Limit | None, sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    with opened(sandbox, tmp_path) as session:
        fail = lambda: only_pod(cluster).fail(reason, message)  # noqa: E731
        if limit is None:
            with pytest.raises(SandboxUnavailable, match=reason):
                during(session, fail)
        else:
            assert during(session, fail).limit is limit
        with pytest.raises(SandboxUnavailable, match=reason):
            session.run(["true"])


def test_a_pod_that_was_deleted_is_no_failure_of_the_command(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    with opened(sandbox, tmp_path) as session:
        pod = only_pod(cluster)

        def delete() -> None:
            del cluster.pods[pod.name]
            pod.delete()

        with pytest.raises(SandboxUnavailable, match="it was deleted"):
            during(session, delete)
        for action in (lambda: session.run(["true"]), lambda: session.read("given"), lambda: session.write("a", b"")):
            with pytest.raises(SandboxUnavailable):
                action()


def test_an_api_that_is_gone_while_a_command_ends_gives_the_session_up(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    with opened(sandbox, tmp_path) as session:
        process = session.start(["sh", "-c", "echo ready; read line"])
        assert process.read_line(60) == b"ready"
        outage = Fault(lambda method, path: True, 503, 10_000)
        cluster.faults.append(outage)
        with pytest.raises(SandboxUnavailable, match="503"):
            process.finish(60)
        outage.times = 0
        with pytest.raises(SandboxUnavailable):
            session.run(["true"])
    assert not cluster.pods


def test_a_session_that_cannot_delete_its_pod_closes_all_the_same(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(sandbox, tmp_path):
        cluster.faults.append(Fault(lambda method, path: method == "DELETE", 500, 99))
    assert "was left behind" in caplog.text


def test_sessions_are_closed_from_another_thread_while_a_command_runs(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    with opened(sandbox, tmp_path) as session:
        process = session.start(["sh", "-c", "echo ready; sleep 600"])
        assert process.read_line(60) == b"ready"
        closing = threading.Thread(target=session.close)
        closing.start()
        assert process.read_line(60) is None
        assert process.finish(60).exit_code is None
        closing.join(60)
        assert not closing.is_alive()
    assert not cluster.pods
