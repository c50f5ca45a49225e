"""When the backend is used, what it checks before, and what it mounts."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.settings import SettingsError, load_settings
from dagster_project.cli.app import app
from sandbox import BACKENDS, backends, open_sandbox, self_check
from sandbox.kubernetes import mounts as mounts_module
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.check import missing_policy
from sandbox.kubernetes.mounts import claim_mounts
from sandbox.kubernetes.options import PodOptions
from sandbox.protocol import Environment, Mount, SandboxUnavailable, WorkspaceRefused

from .fake_cluster import FakeCluster


@pytest.fixture(autouse=True)
def no_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "claim"))
    monkeypatch.setattr(self_check, "_results", {})


def test_it_is_used_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "kubernetes" not in BACKENDS
    assert all(one.name != "kubernetes" for one in backends())
    monkeypatch.setenv("PENSTOCK_SANDBOX", "kubernetes")
    assert load_settings().sandbox == "kubernetes"
    with pytest.raises(SandboxUnavailable, match="kubernetes_image"):
        open_sandbox("kubernetes")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("namespace", "Not_Valid"),
        ("cpus", "0"),
        ("cache_claim", "a/b"),
        ("session_seconds", "1"),
        ("runtime_class", "-"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PENSTOCK_KUBERNETES_{name.upper()}", value)
    with pytest.raises(SettingsError, match=f"kubernetes_{name}"):
        load_settings()


def test_the_options_come_from_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "namespace": "n",
        "image": "i",
        "runtime_class": "r",
        "cache_claim": "c",
        "cpus": "2.5",
        "session_seconds": "77",
        "start_seconds": "9",
        "user_namespace": "true",
        "config": str(tmp_path / "k"),
        "context": "x",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"PENSTOCK_KUBERNETES_{name.upper()}", value)
    expected = PodOptions("n", "i", tmp_path / "claim", "r", "c", 2.5, 77, 9.0, True, tmp_path / "k", "x")
    assert PodOptions.from_settings() == expected


def test_a_cluster_is_checked_with_a_real_session_once(
    sandbox: KubernetesSandbox, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sandbox.available() is None
    assert len(cluster.created) == 1 and not cluster.pods
    monkeypatch.setattr(self_check, "_results", {})  # as in another process
    assert sandbox.available() is None
    assert len(cluster.created) == 1


def test_a_cluster_whose_network_does_not_enforce_the_policy_is_refused(
    sandbox: KubernetesSandbox, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.sandbox.kubernetes.fake_pod.FakePod.host_network", True, raising=False)
    problem = sandbox.available()
    assert problem == "a command found: it can connect to the API server"


def test_a_pod_with_a_token_or_without_limits_is_refused(
    sandbox: KubernetesSandbox, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.sandbox.kubernetes.fake_pod.FakePod.small_temporary", False, raising=False)
    problem = sandbox.available()
    assert problem is not None and "/tmp has no size limit" in problem


def test_traffic_must_be_denied_by_a_policy(sandbox: KubernetesSandbox, cluster: FakeCluster) -> None:
    denied = cluster.policies
    cluster.policies = []
    problem = sandbox.available()
    assert problem is not None and "deploy/kubernetes/sandboxes.yaml" in problem
    allowing = {"metadata": {"name": "dns"}, "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}}
    assert "dns" in str(missing_policy([*denied, allowing], "n"))
    some = {"spec": {"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Ingress", "Egress"]}}
    assert missing_policy([some], "n") is not None
    assert missing_policy([{"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}], "n") is not None
    assert missing_policy(denied, "n") is None
    assert not cluster.created


def test_an_environment_in_the_cache_is_mounted_read_only_from_the_claim(
    sandbox: KubernetesSandbox, tmp_path: Path
) -> None:
    environment = tmp_path / "claim" / "environments" / "abc"
    environment.mkdir(parents=True)
    (environment / "tool").write_text("from the cache")
    outside = tmp_path / "worker"
    outside.mkdir()
    (outside / "code.py").write_text("from Penstock's code")
    (tmp_path / "single").write_text("single")
    given = (
        Mount(environment, "/opt/environment"),
        Mount(outside, "/opt/worker"),
        Mount(tmp_path / "single", "/opt/one"),
    )
    (tmp_path / "workspace").mkdir()
    with sandbox.open(Environment(tmp_path / "workspace", given)) as session:
        seen = session.run(["cat", "/opt/environment/tool", "/opt/worker/code.py", "/opt/one"])
        assert seen.stdout == b"from the cachefrom Penstock's codesingle", seen.stderr
        assert not session.run(["sh", "-c", "echo x >/opt/environment/tool"]).ok
    assert (environment / "tool").read_text() == "from the cache"


def test_a_workspace_that_is_refused_costs_no_pod(
    sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path
) -> None:
    (tmp_path / "workspace").mkdir()
    os.mkfifo(tmp_path / "workspace" / "pipe")
    with pytest.raises(WorkspaceRefused, match="pipe"):
        sandbox.open(Environment(tmp_path / "workspace"))
    assert not cluster.created


def test_services_are_refused_and_cost_no_pod(sandbox: KubernetesSandbox, cluster: FakeCluster, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"services .* are not started in pods"):
        sandbox.open(Environment(tmp_path, supervisor=("/opt/supervisor",)))
    assert not cluster.created


def test_a_mount_that_pods_cannot_reach_is_refused(
    options: PodOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "file").write_bytes(b"x" * 2000)
    monkeypatch.setattr(mounts_module, "_MOST_COPIED", 1000)
    with pytest.raises(ValueError, match="outside Penstock's cache and larger than"):
        claim_mounts((Mount(tmp_path / "large", "/opt/large"),), options)
    with pytest.raises(ValueError, match="kubernetes_cache_claim"):
        claim_mounts((Mount(tmp_path / "claim", "/opt/x"),), replace(options, claim=""))
    with pytest.raises(ValueError, match="is not inside"):
        claim_mounts((Mount(tmp_path / "claim", "/opt/x"),), options)
    link = tmp_path / "claim" / "link"
    link.symlink_to(tmp_path / "large")
    with pytest.raises(ValueError, match="outside Penstock's cache"):
        claim_mounts((Mount(link, "/opt/x"),), options)


def test_doctor_shows_it_where_it_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PENSTOCK_KUBERNETES_CONFIG", str(tmp_path / "none"))
    assert "sandbox kubernetes" not in CliRunner().invoke(app, ["doctor"]).stdout
    monkeypatch.setenv("PENSTOCK_KUBERNETES_IMAGE", "example.org/image")
    shown = CliRunner().invoke(app, ["doctor"]).stdout
    assert "sandbox kubernetes" in shown and "kubernetes_config" in shown
