import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox import backends
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.kubernetes.options import PodOptions

from .fake_cluster import NAMESPACE, TOKEN, FakeCluster


@pytest.fixture(scope="session", autouse=True)
def _requirements() -> None:
    """Containers of the fake cluster are made by bubblewrap."""
    pytest.importorskip("kubernetes", reason="install the locked packages")
    bubblewrap = next(one for one in backends() if one.name == "bubblewrap")
    problem = bubblewrap.available()
    if problem is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(problem)
        pytest.skip(problem)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def kubeconfig(folder: Path, address: str, **cluster: str) -> Path:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "contexts": [{"name": "tests", "context": {"cluster": "fake", "user": "worker"}}],
        "clusters": [{"name": "fake", "cluster": {"server": address, **cluster}}],
        "users": [{"name": "worker", "user": {"token": TOKEN}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    (tmp_path / "claim").mkdir()
    made = FakeCluster(tmp_path / "node", {"penstock-cache": tmp_path / "claim"})
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def options(cluster: FakeCluster, tmp_path: Path) -> PodOptions:
    return PodOptions(
        namespace=NAMESPACE,
        image="registry.example.org/sandbox@sha256:" + "0" * 64,
        claim_folder=tmp_path / "claim",
        claim="penstock-cache",
        config=kubeconfig(tmp_path, f"http://127.0.0.1:{cluster.port}"),
    )


@pytest.fixture
def sandbox(options: PodOptions) -> KubernetesSandbox:
    return KubernetesSandbox(options)
