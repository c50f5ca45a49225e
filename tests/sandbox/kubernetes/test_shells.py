"""The scripts that run in a pod work with the shells and programs of common images: Debian's, bash, and BusyBox."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import conformance
from sandbox.conformance import Bench
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.protocol import Environment
from sandbox.python import PythonRuntime

from .fake_cluster import FakeCluster
from .fake_pod import INTERPRETER

_CHECKS = (
    conformance.the_workspace_is_a_private_copy,
    conformance.files_are_read_and_written,
    conformance.reads_and_writes_stay_in_the_workspace,
    conformance.exit_codes_and_both_outputs_are_returned,
    conformance.standard_input_is_passed_and_closed,
    conformance.lines_are_exchanged_with_a_command,
    conformance.nothing_outlives_its_command,
    conformance.cpu_time_is_limited,
)


@pytest.fixture(params=["bash", "busybox"])
def other_shell(request: pytest.FixtureRequest, cluster: FakeCluster, tmp_path: Path) -> None:
    found = shutil.which(request.param)
    if found is None:
        problem = f"{request.param} is not installed: apt-get install {request.param}"
        if os.environ.get("CI") == "true":
            pytest.fail(problem)
        pytest.skip(problem)
    cluster.shell = Path(found).resolve()
    if request.param == "busybox":
        cluster.programs = tmp_path / "programs"
        cluster.programs.mkdir()
        for name in os.popen(f"{found} --list").read().split():  # noqa: S605
            (cluster.programs / name).symlink_to(Path("/bin/sh").resolve())


@pytest.mark.usefixtures("other_shell")
@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: check.__name__)
def test_the_scripts_work_with(sandbox: KubernetesSandbox, check: Callable[[Bench], None], tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    check(Bench(sandbox, folder, PythonRuntime((), str(INTERPRETER), {})))


@pytest.mark.usefixtures("other_shell")
def test_snapshots_work_with_other_programs(sandbox: KubernetesSandbox, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    shown = ["sh", "-c", "ls -lRA; cat folder/file"]
    with sandbox.open(Environment(tmp_path / "workspace")) as session:
        made = "mkdir folder .hidden && echo 1 >folder/file && ln -s /etc/passwd out && chmod 700 folder/file"
        assert session.run(["sh", "-c", made]).ok
        before = session.run(shown).stdout
        snapshot = session.snapshot()
        assert session.run(["sh", "-c", "echo 2 >folder/file; rm -r out .hidden; mkdir -p a/b; chmod 0 a"]).ok
        session.restore(snapshot)
        assert session.run(shown).stdout == before


@pytest.mark.usefixtures("other_shell")
def test_temporary_files_are_removed_with_other_programs(sandbox: KubernetesSandbox, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    with sandbox.open(Environment(tmp_path / "workspace")) as session:
        assert session.run(["sh", "-c", "mkdir -p /tmp/.a/b/c && chmod 0 /tmp/.a/b && echo x >/dev/shm/d"]).ok
        assert session.run(["sh", "-c", "ls -A /tmp; ls -A /dev/shm"]).stdout == b""
