"""Services also start when an unprivileged user runs Penstock, with the system's Python."""

import json
import subprocess
from collections.abc import Callable

import pytest

from sandbox.environments.services.plans import plan
from sandbox.protocol import Sandbox

from .conftest import declarations

PROGRAM = """
import sys
sys.dont_write_bytecode = True
from pathlib import Path
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.gvisor import GvisorSandbox
from sandbox.protocol import Environment, Mount
kind = {"bubblewrap": BubblewrapSandbox, "gvisor": GvisorSandbox}[sys.argv[1]]
home = Path(sys.argv[3])
program = Mount(home / "penstock/sandbox/environments/services/inside.py", "/penstock/services.py")
supervisor = ("/usr/bin/python3", "-I", "-S", "-B", program.target, sys.argv[4])
environment = Environment(home / "workspace", (program,), {}, supervisor)
command = ["sh", "-c", "id -u; grep Cap /proc/self/status; touch written; echo $(ls)"]
with kind(Path(sys.argv[2]), home).open(environment) as session:
    beside, alone = session.run(command, services=True), session.run(command)
print(beside.exit_code, beside.stdout == alone.stdout, beside.stdout.endswith(b"written\\n"), beside.stderr.decode())
"""


def test_services_start_without_privileges_and_give_none(
    backend: Sandbox, as_nobody: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    plans = plan(declarations(postgresql={}))
    if any(one.mounts for one in plans):
        pytest.skip("needs a PostgreSQL that every user may run: `apt install postgresql`")
    services = {"services": [one.specification for one in plans], "seconds": 60, "set_up": [], "set_up_seconds": 1}
    done = as_nobody(backend, PROGRAM, json.dumps(services))
    assert done.stdout.split() == ["0", "True", "True"], (done.stdout, done.stderr)
