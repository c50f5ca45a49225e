"""A process that stands for Penstock's: it has a terminal, secrets in its environment and a network of its own, and
opens sandboxes. `sandbox.probing.probe` starts it, and reads one line of JSON for each finding.

    python -P -c "from sandbox.probing.parent import main; main()"     with a pickled `Order` on standard input
"""

import array
import contextlib
import fcntl
import json
import os
import pickle
import signal
import sys
import tempfile
import termios
import tty
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sandbox.conformance import Bench
from sandbox.protocol import Sandbox, SandboxUnavailable

from . import egress, isolated, lifetime, limits, links, own_network
from .record import Finding
from .stage import ELSEWHERE, stage

SECRET = "PENSTOCK_PROBE_SECRET"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class Order:
    """`sandbox` is None for the probes of the step that fetches packages, which `make_proxy` and `confine` are for.
    `patience` is in seconds."""

    sandbox: Sandbox | None
    patience: float = 20.0
    make_proxy: egress.MakeProxy = egress.egress_proxy
    confine: bool = True


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was made is removed
    order: Order = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    own = own_network.enter(address for address, _ in ELSEWHERE)
    try:
        for finding in _findings(order, own):
            _say(asdict(finding))
    except SandboxUnavailable as error:
        _say({"unavailable": str(error)})


def _say(value: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _findings(order: Order, own: bool) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="penstock-probe-") as folder:
        for finding in _findings_in(Path(folder), order, own):
            yield replace(finding, evidence=finding.evidence.replace(folder, "…"))


def _findings_in(folder: Path, order: Order, own: bool) -> Iterator[Finding]:
    with contextlib.ExitStack() as stack:
        if order.sandbox is None:
            yield from egress.findings(folder, os.environ[SECRET], order.make_proxy, order.confine)
            return
        terminal = stack.enter_context(_terminal())
        workspaces = folder / "workspaces"
        workspaces.mkdir()
        bench = Bench(order.sandbox, workspaces)
        offered = stack.enter_context(stage(folder, os.environ[SECRET], own))
        offered.observed["typing into it (TIOCSTI)"] = lambda: _typed(terminal)
        yield from isolated.findings(bench, offered)
        yield from links.findings(bench, offered)
        yield from lifetime.findings(bench, max(order.patience / 2, 1.0))
        yield from limits.findings(bench, order.patience)


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    """Gives this session leader a terminal, and yields the descriptor of its side."""
    outer, inner = os.openpty()
    tty.setraw(inner)
    fcntl.ioctl(inner, termios.TIOCSCTTY, 0)
    try:
        yield inner
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which the end of its terminal sends to a session leader
        os.close(inner)
        os.close(outer)


def _typed(terminal: int) -> str | None:
    waiting = array.array("i", [0])
    fcntl.ioctl(terminal, termios.FIONREAD, waiting)
    return f"{waiting[0]} character arrived" if waiting[0] else None
