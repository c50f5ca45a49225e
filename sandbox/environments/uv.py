"""Runs uv, which resolves and downloads packages: with a scrubbed environment, time limits, and never to build.

It runs in a network namespace of its own, where it reaches an allowlisting proxy and nothing else, and sees the files
that it reads or writes. Of this process's environment it sees the certificates that are configured, and no other
variable; no configuration file of a repository has any effect.
"""

import functools
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.protocol import SandboxUnavailable

from .confined import confined
from .egress import Allowed, Decision, EgressProxy, allowed_hosts
from .interpreters import Interpreter

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_INSIDE = Path(__file__).with_name("egress_inside.py")
_NETWORK = re.compile(r"error sending request|dns error|failed to lookup|connection (refused|reset)|timed out|"
                      r"tunnel|status server error|50[0234] ", re.IGNORECASE)  # fmt: skip
_WHEELS = re.compile(r"Wheels are required for `([A-Za-z0-9][\w.-]*)`")


class FetchFailed(Exception):
    """Packages could not be resolved or downloaded. `unreachable`: the registry did not answer; `sdists`: names of
    packages that have no wheel for this Python."""

    def __init__(self, message: str, *, unreachable: bool = False, sdists: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.unreachable, self.sdists = unreachable, sdists


@dataclass(frozen=True)
class Uv:
    """uv with its cache in the folder `cache`. `index` is the address of the package index (uv's own when it is empty),
    `hosts` are others that it may connect to; `offline` forbids the network. `task` names in the log whom it serves;
    `decisions` are those of the proxy so far."""

    cache: Path
    index: str = ""
    offline: bool = False
    hosts: tuple[str, ...] = ()
    task: str = ""
    decisions: list[Decision] = field(default_factory=list, compare=False)

    def run(
        self,
        arguments: list[str],
        seconds: float,
        cwd: Path,
        interpreter: Interpreter,
        *,
        readable: Sequence[Path] = (),
        writable: Sequence[Path] = (),
    ) -> str:
        """Runs one command in the folder `cwd`, which it may write to, and returns its standard error. It sees the
        paths `readable` and `writable`, and the interpreter. Raises `FetchFailed` and `SandboxUnavailable`."""
        moved = {f"/run/{name}": Path(os.environ[name]) for name in _CERTIFICATES
                 if name in os.environ and Path(os.environ[name]).exists()}  # fmt: skip
        variables = {place.removeprefix("/run/"): place for place in moved}
        if self.index:
            variables["UV_DEFAULT_INDEX"] = self.index
        variables |= {
            "PATH": "/usr/bin:/bin",
            "HOME": str(cwd),
            "UV_CACHE_DIR": str(self.cache),
            "UV_NO_CONFIG": "1",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_KEYRING_PROVIDER": "disabled",
            "UV_HTTP_TIMEOUT": "60",
            "NO_COLOR": "1",
        }
        if self.offline:
            variables["UV_OFFLINE"] = "1"
        self.cache.mkdir(parents=True, exist_ok=True)
        visible = [Path(program()), _INSIDE, interpreter.prefix, *readable]
        with EgressProxy(
            Allowed(frozenset()) if self.offline else allowed_hosts(self.index, self.hosts), self.task
        ) as out:
            command = [str(interpreter.path), "-I", "-S", str(_INSIDE), str(out.socket), program(), *arguments]
            line = confined(command, variables, visible, (self.cache, cwd, out.socket.parent, *writable), cwd, moved)
            if line is None:
                raise SandboxUnavailable("bubblewrap, in which packages are fetched, does not work on this machine; "
                                         "`penstock doctor` says why")  # fmt: skip
            try:
                done = subprocess.run(line, capture_output=True, timeout=seconds, check=False, cwd="/",
                                      env={"PATH": os.defpath}, stdin=subprocess.DEVNULL)  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise FetchFailed(f"fetching packages took longer than {seconds:.0f} s", unreachable=True) from error
            self.decisions.extend(out.decisions)
            text = _without_credentials(done.stderr[-20_000:].decode(errors="replace"))
            if text.startswith("bwrap: "):
                raise SandboxUnavailable(f"packages cannot be fetched in bubblewrap: {text.strip()[:300]}")
            if done.returncode != 0:
                refused = sorted({f"{one.host}:{one.port}" for one in out.refusals if "not allowed" in one.why})
                raise _failure(text, refused)
            return text


@functools.cache
def program() -> str:
    """The path of uv: that of the installed package."""
    from uv import find_uv_bin

    return str(find_uv_bin())


def _without_credentials(text: str) -> str:
    return re.sub(r"(https?://)[^/@\s`]*@", r"\1", text)


def _failure(text: str, refused: Sequence[str]) -> FetchFailed:
    if refused:
        return FetchFailed(f"{', '.join(refused)} is none of its hosts; add it to the setting `registry_hosts` if it "
                           "belongs to the package index", unreachable=True)  # fmt: skip
    names = tuple(dict.fromkeys(re.sub(r"[-_.]+", "-", name).lower() for name in _WHEELS.findall(text)))
    reason = " ".join(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Using"))
    reason = re.sub(r"^error: |\s*hint: .*$", "", reason)
    reason = re.sub(r"^No solution found when resolving dependencies:?\s*(cause|╰─▶):?\s*", "", reason)
    return FetchFailed(reason[:1500], unreachable=bool(_NETWORK.search(text)), sdists=names)
