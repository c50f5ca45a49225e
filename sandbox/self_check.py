"""Finds out whether a backend's program can really start a command here, once per process and program.

Not the probes that attack a sandbox: those are in `sandbox.probes`.
"""

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from .protocol import Environment, Limits, SandboxUnavailable, Session

_answers: dict[tuple[str, Path, int], str | None] = {}
_lock = threading.Lock()


def first_failure(backend: str, program: Path, open_session: Callable[[Environment, Limits], Session]) -> str | None:
    """None when a command ran to its end in a session of `open_session`, else what went wrong."""
    try:
        key = (backend, program, program.stat().st_mtime_ns)
    except OSError as error:
        return str(error)
    with _lock:
        if key not in _answers:
            _answers[key] = _try(open_session)
        return _answers[key]


def _try(open_session: Callable[[Environment, Limits], Session]) -> str | None:
    limits = Limits(wall_seconds=20.0, cpu_seconds=20.0)
    with tempfile.TemporaryDirectory(prefix="penstock-empty-") as folder:
        try:
            with open_session(Environment(Path(folder)), limits) as session:
                result = session.run(["echo", "ready"])
        except SandboxUnavailable as error:
            return str(error)
    if result.ok and result.stdout == b"ready\n":
        return None
    said = (result.stderr or result.stdout)[-300:].decode(errors="replace").strip()
    return f"a first command ended with {result.exit_code} ({result.limit or said or 'no output'})"
