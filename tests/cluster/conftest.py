"""A real Kubernetes of one node for the session, by `deploy/dev/kubernetes_cluster.py`. Its containers are made of this
machine's own interpreter, packages and checkout, since images cannot be pulled."""

import importlib.util
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
IMAGE = "penstock.invalid/penstock:test"
SANDBOXES = "penstock-sandboxes"
SANDBOX_IMAGE = "penstock.invalid/sandbox:test"


def _script() -> Any:
    place = ROOT / "deploy/dev/kubernetes_cluster.py"
    specification = importlib.util.spec_from_file_location("script_kubernetes_cluster", place)
    assert specification and specification.loader
    sys.modules[specification.name] = module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def shared_folders() -> dict[Path, Path]:
    """What containers need of this machine, by the path inside: programs, packages, the checkout, and this interpreter,
    at its own path, which is compiled in, and where an image has it."""
    base, packages = Path(sys.base_prefix).resolve(), Path(sysconfig.get_path("purelib")).resolve()
    found = {path: path for path in (Path("/usr"), packages, ROOT)}
    if not base.is_relative_to("/usr"):
        found |= {base: base, Path("/usr/local"): base}
    return found


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A `Cluster`; its node has the images `IMAGE` and `SANDBOX_IMAGE`."""
    script = _script()
    # Not below pytest's own folder, which is closed to the users of containers.
    with tempfile.TemporaryDirectory(prefix="penstock-cluster-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        try:
            made = script.start_cluster(
                Path(folder), shared=shared_folders(), isolated=(SANDBOXES,), die_with_parent=True
            )
        except script.KubernetesMissing as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))
        try:
            _add_images(made)
            yield made
        finally:
            made.stop()


def with_venv(content: dict[str, Any]) -> dict[str, Any]:
    """The image's content and /opt/venv. Its packages are in the cache, so that sandboxes can be given them."""
    base = Path("/usr/local") if not sys.base_prefix.startswith("/usr") else Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    files = {"opt/venv/pyvenv.cfg": f"home = {base}/bin\ninclude-system-site-packages = false\n".encode()}
    for name in ("dagster", "dagster-daemon", "penstock"):
        _, _, rest = (Path(sys.executable).parent / name).read_bytes().partition(b"\n")
        files[f"opt/venv/bin/{name}"] = b"#!/opt/venv/bin/python\n" + rest
    links = {
        "opt/venv/bin/python": f"{base}/bin/{version}",
        f"opt/venv/lib/{version}/site-packages": "/var/cache/penstock/packages",
    }
    return {**content, "links": {**content["links"], **links}, "files": {**content["files"], **files}}


def _add_images(cluster: Any) -> None:
    names = ("bin", "lib", "lib64", "sbin")
    content = {
        "folders": {"etc": 0o755, "tmp": 0o1777, "var": 0o755, "workspace": 0o777, "opt": 0o755},
        "links": {name: f"usr/{name}" for name in names},
        "files": {"etc/passwd": b"penstock:x:10001:10001::/tmp:/bin/sh\n", "etc/group": b"penstock:x:10001:\n"},
    }
    environment = {
        "PATH": "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/tmp",
        "PENSTOCK_HOME": "/var/lib/penstock",
        "PENSTOCK_CACHE": "/var/cache/penstock",
        "DAGSTER_HOME": "/opt/dagster/home",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    config = {"Env": [f"{key}={value}" for key, value in environment.items()], "WorkingDir": "/tmp"}
    cluster.add_image(IMAGE, **with_venv(content), config={**config, "User": "10001:10001"})
    cluster.add_image(SANDBOX_IMAGE, **content, config={"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]})
