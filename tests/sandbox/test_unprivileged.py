"""The limits also hold when an unprivileged user runs Penstock, with the system's Python."""

import sys

from sandbox.protocol import Sandbox

from .conftest import AsNobody

PROGRAM = """
import sys
sys.dont_write_bytecode = True
from dataclasses import replace
from pathlib import Path
from sandbox import attacks
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.gvisor import GvisorSandbox
from sandbox.protocol import Environment, Limits
kind = {"bubblewrap": BubblewrapSandbox, "gvisor": GvisorSandbox}[sys.argv[1]]
sandbox = kind(Path(sys.argv[2]), Path(sys.argv[3]))
small = Limits(60, 30, 256 << 20, 16, 8 << 20, 64 << 20, 1 << 18)
attempts = {
    "cpu": (attacks.BURN_CPU, replace(small, cpu_seconds=0.3)),
    "memory": (attacks.FILL_MEMORY, small),
    "processes": (attacks.FORK_BOMB, small),
    "disk": (attacks.MANY_FILES, small),
}
for limit, (code, limits) in attempts.items():
    with sandbox.open(Environment(Path(sys.argv[3]) / "workspace"), small) as session:
        print(limit, session.run(["/usr/bin/python3", "-c", code], limits=limits).limit)
# A folder that cannot be walked counts with what others write meanwhile, so its limit is not a small one.
roomy = replace(small, disk_bytes=8 << 30)
with sandbox.open(Environment(Path(sys.argv[3]) / "workspace"), roomy) as session:
    ended = session.run(["sh", "-c", "mkdir shut && touch shut/x && chmod 0 shut && cat /proc/self/uid_map"])
    print(ended.exit_code, ended.limit)
print(sorted(p.name for p in Path(sys.argv[3]).iterdir()))
"""


def test_limits_hold_without_privileges(backend: Sandbox, as_nobody: AsNobody) -> None:
    done = as_nobody(backend, PROGRAM)
    assert done.stdout.splitlines() == [
        "cpu cpu",
        "memory memory",
        "processes processes",
        "disk disk",
        "0 None",
        "['penstock', 'workspace']",
    ], done.stderr
    assert sys.version_info >= (3, 11)
