"""Prometheus and promtool for tests: `install` unpacks Debian's package into the cache, without installing it (that
would start a server), unless both are on PATH. `start_prometheus` runs one on loopback.

    python deploy/dev/prometheus_server.py install
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

SECONDS = 120


class PrometheusMissing(RuntimeError):
    """Prometheus is not installed; the message says what to do."""


def cached() -> Path:
    base = os.environ.get("PENSTOCK_CACHE") or "~/.cache/penstock"
    return Path(base).expanduser() / "prometheus"


def program(name: str) -> Path:
    """`prometheus` or `promtool`. Raises `PrometheusMissing`."""
    found = shutil.which(name)
    place = Path(found) if found else cached() / "usr" / "bin" / name
    if not place.is_file():
        raise PrometheusMissing(f"{name} is missing: deploy/dev/services.sh unpacks it; or install Prometheus")
    return place


def install() -> Path:
    """Idempotent. Raises `PrometheusMissing`."""
    with contextlib.suppress(PrometheusMissing):
        program("prometheus")
        return program("promtool")
    if not shutil.which("apt-get"):
        raise PrometheusMissing("install Prometheus with the package manager of this system")
    target = cached()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        if os.geteuid() == 0:
            subprocess.run(["apt-get", "update", "-qq"], check=False, timeout=600, stdout=sys.stderr)
        done = subprocess.run(
            ["apt-get", "download", "-qq", "prometheus"], cwd=folder, check=False, timeout=600, stdout=sys.stderr
        )
        packages = list(Path(folder).glob("prometheus_*.deb"))
        if done.returncode or not packages:
            raise PrometheusMissing("apt-get could not download the package prometheus")
        unpacked = Path(folder) / "unpacked"
        subprocess.run(["dpkg", "-x", str(packages[0]), str(unpacked)], check=True, timeout=600)
        with contextlib.suppress(OSError):  # another process was faster
            unpacked.rename(target)
    return program("promtool")


@dataclass
class PrometheusServer:
    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)


def start_prometheus(folder: Path, configuration: Path) -> PrometheusServer:
    """Serves on a free port of loopback, with its data in `folder`. Raises `PrometheusMissing`, `RuntimeError`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(
                    str(program("prometheus")),
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={folder / 'data'}",
                ),
                *(f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"),
            ],
            stdout=output,
            stderr=output,
        )
    server = PrometheusServer(f"http://127.0.0.1:{port}", process)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and process.poll() is None:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{server.url}/-/ready", timeout=5) as answer,  # noqa: S310  loopback
        ):
            if answer.status == 200:
                return server
        time.sleep(0.1)
    server.stop()
    raise RuntimeError(f"Prometheus did not start: {log.read_text(errors='replace')[-2000:]}")


if __name__ == "__main__":
    if sys.argv[1:] != ["install"]:
        sys.exit(__doc__)
    try:
        sys.stdout.write(f"{install()}\n")
    except PrometheusMissing as error:
        sys.exit(f"prometheus: {error}")
