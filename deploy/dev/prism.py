#!/usr/bin/env python3
"""Runs GitHub's published OpenAPI description as a mock server that checks each request: Prism on loopback.

For tests of the calls that `core/forge/github.py` makes. `prism.py install` fetches it; from Python, load it by path
and call `start_prism`. Node.js 18 or newer and npm are needed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import servers
from servers import cache_folder, free_port, locked

PRISM = "@stoplight/prism-cli@5.16.0"
DESCRIPTIONS = "@octokit/openapi@23.0.2"
DESCRIPTION = "node_modules/@octokit/openapi/generated/ghes-3.19.json"
"""Of the newest Enterprise Server, whose paths have no prefix in Prism."""
PROGRAM = "node_modules/@stoplight/prism-cli/dist/index.js"
INSTALL_SECONDS = 600.0
READY_SECONDS = 120.0


class PrismMissing(RuntimeError):
    """Prism cannot be installed here; the message says what to install."""


class PrismFailed(RuntimeError):
    """The server did not start; the message holds the end of its log."""


def install() -> Path:
    """The folder with Prism and the descriptions, which are fetched if missing. Raises `PrismMissing`."""
    version = PRISM.rpartition("@")[2] + "-" + DESCRIPTIONS.rpartition("@")[2]
    home = cache_folder() / f"prism-{version}"
    with locked(cache_folder() / f"prism-{version}.lock"):
        if home.is_dir():
            return home
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            raise PrismMissing("checking GitHub's calls needs Node.js 18 or newer and npm (apt install nodejs npm)")
        building = cache_folder() / f".prism-{version}.{os.getpid()}"
        building.mkdir(parents=True, exist_ok=True)
        command = [
            npm,
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
            str(building),
        ]
        try:
            done = subprocess.run(
                [*command, PRISM, DESCRIPTIONS], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
            if done.returncode != 0:
                raise PrismMissing(f"{PRISM} could not be installed:\n{done.stderr[-2000:]}")
            for other in (building / DESCRIPTION).parent.glob("*.json"):
                if other.name != Path(DESCRIPTION).name:
                    other.unlink()  # hundreds of megabytes
            building.rename(home)
        except subprocess.TimeoutExpired as error:
            raise PrismMissing(f"{PRISM} was not installed within {INSTALL_SECONDS:.0f} s") from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return home


@dataclass(frozen=True)
class PrismServer:
    """A running server at `url`. An answer's header `sl-violations` lists, as JSON, how the request differs from the
    description."""

    url: str
    process: "subprocess.Popen[bytes]" = field(repr=False)

    def stop(self) -> None:
        pid = self.process.pid
        servers.stop(pid, lambda: self.process.poll() is None, 0, process=self.process)


def start_prism(folder: Path, *, die_with_parent: bool = False) -> PrismServer:
    """Starts a server with its log in `folder`, and waits until it answers. Raises `PrismMissing`, `PrismFailed`."""
    home, port, log = install(), free_port(), folder / "prism.log"
    command = ["node", str(home / PROGRAM), "mock", "-h", "127.0.0.1", "-p", str(port), str(home / DESCRIPTION)]
    process = servers.start(command, log, die_with_parent=die_with_parent)
    server = PrismServer(f"http://127.0.0.1:{port}", process)
    if not servers.wait_until(lambda: _answers(server.url), process, READY_SECONDS):
        server.stop()
        raise PrismFailed(f"Prism did not start:\n{servers.tail(log)}")
    return server


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/zen", timeout=5).close()  # noqa: S310  the address is ours
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="prism.py", description="GitHub's OpenAPI description as a checking server.")
    parser.add_argument("command", choices=["install"])
    parser.parse_args(arguments)
    try:
        print(f"prism: {install()}")  # noqa: T201
    except PrismMissing as error:
        print(f"prism: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
