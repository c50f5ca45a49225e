"""Runs every probe without a sandbox, and prints the results as JSON. Run it in new namespaces, as root inside:

    unshare --mount --net --ipc --uts --pid --fork --mount-proc python -m tests.sandbox.probing.control

So the attempts get through to a machine that is thrown away: its network is empty, its mounts and processes are its
own, and what they write is in memory.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from sandbox.probing import ProbeResult, probe, probe_fetch_step
from tests.sandbox.probing.bare import Bare, open_proxy

PATIENCE = 1.0


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="penstock-control-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3g", "tmpfs", folder], check=True)
        try:
            tempfile.tempdir = folder
            results = _results(Path(folder))
        finally:
            tempfile.tempdir = None
            subprocess.run(["umount", "--lazy", folder], check=True)
    json.dump([asdict(one) for one in results], sys.stdout)


def _results(folder: Path) -> list[ProbeResult]:
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    if Path("/etc/resolv.conf").exists():
        subprocess.run(["mount", "--bind", resolver, "/etc/resolv.conf"], check=True)
    return [*probe(Bare(), PATIENCE), *probe_fetch_step(open_proxy, confine=False)]


if __name__ == "__main__":
    main()
