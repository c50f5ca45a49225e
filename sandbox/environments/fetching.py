"""Runs a program that fetches packages: in a network namespace of its own, where it reaches an allowlisting proxy and
nothing else, sees the files that it reads or writes, and none of this process's variables but the certificates.

The program is trusted, what it downloads is not, and no code of a repository or of a package runs here.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.protocol import SandboxUnavailable

from .confined import confined
from .egress import Allowed, Decision, EgressProxy
from .wanted import FetchFailed

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/cert.pem")  # fmt: skip
"""Where distributions keep the certificates that they trust, in one file."""
_INSIDE = Path(__file__).with_name("egress_inside.py")
_MOST_OUTPUT = 20_000


@dataclass(frozen=True)
class Fetched:
    """How the program ended; `output` and `errors` are the ends of what it wrote, without credentials."""

    exit_code: int
    output: str
    errors: str


@dataclass(frozen=True)
class Fetching:
    """Where programs that fetch may connect to, and for whom (`task`, for the log); `decisions` are the proxy's."""

    allowed: Allowed
    task: str = ""
    decisions: list[Decision] = field(default_factory=list, compare=False)

    def run(
        self,
        command: Sequence[str],
        seconds: float,
        cwd: Path,
        variables: Mapping[str, str],
        *,
        readable: Sequence[Path] = (),
        writable: Sequence[Path] = (),
    ) -> Fetched:
        """Runs a command in the folder `cwd`, which it may write to. Raises `FetchFailed` when it took too long or
        failed for hosts that are not allowed, and `SandboxUnavailable`."""
        moved = {f"/run/{name}": Path(os.environ[name]) for name in _CERTIFICATES
                 if name in os.environ and Path(os.environ[name]).exists()}  # fmt: skip
        if not moved and (bundle := next((path for path in map(Path, _BUNDLES) if path.is_file()), None)):
            moved = {"/run/SSL_CERT_FILE": bundle.resolve()}
        given = {**variables, **{place.removeprefix("/run/"): place for place in moved}}
        prefix = Path(sys.base_prefix).resolve()
        python = Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()
        given["PENSTOCK_LOOPBACK"] = ",".join(str(port) for host, port in self.allowed.named if host == "127.0.0.1")
        with EgressProxy(self.allowed, self.task) as out:
            inside = [str(python), "-I", "-S", str(_INSIDE), str(out.socket), *command]
            line = confined(
                inside, given, (_INSIDE, prefix, *readable), (cwd, out.socket.parent, *writable), cwd, moved
            )
            if line is None:
                raise SandboxUnavailable("bubblewrap, in which packages are fetched, does not work on this machine; "
                                         "`penstock doctor` says why")  # fmt: skip
            try:
                done = subprocess.run(line, capture_output=True, timeout=seconds, check=False, cwd="/",
                                      env={"PATH": os.defpath}, stdin=subprocess.DEVNULL)  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise FetchFailed(f"fetching packages took longer than {seconds:.0f} s", unreachable=True) from error
            self.decisions.extend(out.decisions)
            errors = _ending(done.stderr)
            if errors.startswith("bwrap: "):
                raise SandboxUnavailable(f"packages cannot be fetched in bubblewrap: {errors[:300]}")
            refused = sorted({f"{one.host}:{one.port}" for one in out.refusals if "not allowed" in one.why})
            if done.returncode != 0 and refused:
                raise FetchFailed(f"{', '.join(refused)} is none of its hosts; add it to the setting `registry_hosts` "
                                  "if it belongs to the package registry", unreachable=True)  # fmt: skip
            return Fetched(done.returncode, _ending(done.stdout), errors)


def _ending(output: bytes) -> str:
    return without_credentials(output[-_MOST_OUTPUT:].decode(errors="replace").strip())


def without_credentials(text: str) -> str:
    return re.sub(r"(https?://)[^/@\s`]*@", r"\1", text)
