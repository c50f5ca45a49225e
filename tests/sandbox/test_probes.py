import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.probes import probe
from sandbox.protocol import CommandResult, Environment, Limits, Sandbox, SandboxUnavailable


def test_every_probe_of_a_real_backend_passes(backend: Sandbox) -> None:
    results = probe(backend)
    assert {result.backend for result in results} == {backend.name}
    assert [f"{result.probe}: {result.evidence}" for result in results if not result.passed] == []
    assert len({result.probe for result in results}) == len(results) > 30


class _LeakySession:
    """Runs commands on the host itself, which the probes must report."""

    backend = "leaky"

    def __init__(self, environment: Environment) -> None:
        self._folder = environment.workspace

    def run(
        self,
        argv: list[str],
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> CommandResult:
        from sandbox.python import _interpreter

        limits = limits or Limits()
        began = time.monotonic()
        if "json.dumps(found)" not in argv[-1]:
            argv = ["true"]
        else:
            # Without the attempts that would change this machine, because nothing isolates them.
            harmless = argv[-1].replace('attempt("privileges: mount", mount)', "").replace("termios.TIOCSTI", "0")
            argv = [str(_interpreter()), *argv[1:-1], harmless]
        done = subprocess.run(argv, input=stdin, capture_output=True, cwd=self._folder, timeout=600, check=False)
        return CommandResult(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def write(self, path: str, content: bytes) -> None:
        (self._folder / path).write_bytes(content)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Leaky:
    name = "leaky"

    def available(self) -> str | None:
        return None

    def open(self, environment: Environment, limits: Limits = Limits()) -> Any:  # noqa: B008
        return _LeakySession(environment)


def test_a_sandbox_without_isolation_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_PROBE_TEST", "inherited")
    held = {result.probe: result.passed for result in probe(_Leaky())}
    for name in (
        "network: host loopback",
        "unix socket: by path",
        "unix socket: abstract",
        "host file: a secret beside the workspace",
        "host file: another workspace",
        "host folder: /tmp",
        "host folder: /var",
        "host: processes",
        "environment",
        *(name for name in held if name.startswith("limit: ")),
    ):
        assert held[name] is False, name
    if os.geteuid() == 0:
        assert held["privileges: held"] is False
        assert held["host file: passwords"] is False


def test_a_backend_that_is_not_installed_cannot_be_probed() -> None:
    from sandbox.gvisor import GvisorSandbox

    with pytest.raises(SandboxUnavailable):
        probe(GvisorSandbox(Path("/nonexistent/runsc")))
