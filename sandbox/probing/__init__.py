"""Tries to break out of a sandbox and to exceed its limits, and reports each outcome: `penstock sandbox probe`.

For an operator who wants to verify the isolation on this machine. It needs no test tools; `sandbox.conformance`
checks more of what a backend must do. Without a sandbox each attempt gets through, which the tests show. One module
for each family: `inside` is what runs in a sandbox, `links`, `lifetime`, `limits` and `egress` judge from outside.
"""

import json
import os
import pickle
import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.protocol import Sandbox, SandboxUnavailable

from .record import FAMILIES, Finding, Outcome, ProbeResult

if TYPE_CHECKING:
    from .egress import MakeProxy
    from .parent import Order

__all__ = ["FETCH", "Finding", "Outcome", "ProbeResult", "probe", "probe_fetch_step"]

FETCH = "fetch step"
"""Stands for a backend in the results of `probe_fetch_step`."""
_SECONDS = 900.0
"""How long all probes of one backend may take; long, because the machine may be busy."""
_END_SECONDS = 20.0
_PATIENCE = 20.0


def probe(sandbox: Sandbox, patience: float = _PATIENCE) -> list[ProbeResult]:
    """Runs every probe on one backend. `patience` is how many seconds an attack goes on that nothing ends. `sandbox`
    must be picklable, because a process of its own opens the sessions. Raises `SandboxUnavailable` when none can be
    opened."""
    problem = sandbox.available()
    if problem is not None:
        raise SandboxUnavailable(problem)
    from .parent import Order

    found = sorted(_run(Order(sandbox, patience)), key=lambda one: FAMILIES.index(one.family))
    return [_result(sandbox.name, one) for one in found]


def probe_fetch_step(make_proxy: "MakeProxy | None" = None, confine: bool = True) -> list[ProbeResult]:
    """Runs the probes of the step that fetches packages, whose only way out is a proxy. The arguments are for the
    tests, which run them on a proxy that refuses nothing. Raises `SandboxUnavailable`."""
    from .egress import egress_proxy
    from .parent import Order

    order = Order(None, make_proxy=make_proxy or egress_proxy, confine=confine)
    return [_result(FETCH, one) for one in _run(order)]


def _result(backend: str, one: Finding) -> ProbeResult:
    return ProbeResult(backend, one.family, one.probe, one.attempt, one.outcome, one.evidence)


def _run(order: "Order") -> Iterator[Finding]:
    from .parent import SECRET

    child = subprocess.Popen(
        [sys.executable, "-P", "-c", "from sandbox.probing.parent import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), SECRET: secrets.token_hex(16)},
        start_new_session=True,
    )
    with child:
        try:
            output, errors = child.communicate(pickle.dumps(order), _SECONDS)
        except BaseException as error:  # also when a person interrupts it
            _end(child)
            if isinstance(error, subprocess.TimeoutExpired):
                raise SandboxUnavailable(f"the probes did not end within {_SECONDS:g} s") from error
            raise
    findings = [json.loads(line) for line in output.splitlines()]
    if findings and "unavailable" in findings[-1]:
        raise SandboxUnavailable(findings[-1]["unavailable"])
    if child.returncode != 0 or not findings:
        tail = errors[-800:].decode(errors="replace").strip()
        raise SandboxUnavailable(f"the process that runs the probes ended with {child.returncode}: {tail}")
    for one in findings:
        yield Finding(**{**one, "outcome": Outcome(one["outcome"])})


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Lets the process remove what it has made, and kills it if it takes long."""
    child.terminate()
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
