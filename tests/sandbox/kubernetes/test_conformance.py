"""The backend passes the conformance suite of the sandbox protocol on a cluster whose API is imitated and whose
commands are real, as far as no node is needed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.conformance import CHECKS, Bench
from sandbox.kubernetes.backend import KubernetesSandbox
from sandbox.python import PythonRuntime

from .fake_pod import INTERPRETER

NOT_HERE = {
    "memory_is_limited": "a container's cgroup, and its OOM kill",
    "memory_is_limited_over_all_processes": "a container's cgroup, and its OOM kill",
    "processes_are_limited": "a limit of the kernel that ends no command, so that none is reported: docs/sandbox.md",
    "threads_are_limited": "gVisor, or a user other than the host's root, for whom Linux limits no processes",
    "a_single_file_is_limited": "a watch, for commands that go on after the kernel has refused to write",
    "the_workspace_is_limited": "the kubelet's eviction",
    "deleted_but_open_files_count": "the kubelet's eviction, with quotas of the file system",
}
"""Checks that are not run here, and what they need."""


@pytest.mark.parametrize(
    "check",
    [check for check in CHECKS if check.__name__ not in NOT_HERE],
    ids=lambda check: check.__name__,
)
def test_the_backend_gives_the_guarantee(
    sandbox: KubernetesSandbox, check: Callable[[Bench], None], tmp_path: Path
) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    check(Bench(sandbox, folder, PythonRuntime((), str(INTERPRETER), {})))


def test_the_checks_that_are_left_out_exist() -> None:
    assert set(NOT_HERE) <= {check.__name__ for check in CHECKS}
