"""Runs uv, which resolves and downloads packages: with a scrubbed environment, time limits, and never to build.

It runs in a network namespace of its own, where it reaches an allowlisting proxy and nothing else, and sees the files
that it reads or writes. Of this process's environment it sees the certificates that are configured, and no other
variable; no configuration file of a repository has any effect.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .egress import Allowed, Decision, allowed_hosts
from .fetching import Fetching
from .interpreters import Interpreter
from .wanted import FetchFailed

_NETWORK = re.compile(r"error sending request|dns error|failed to lookup|connection (refused|reset)|timed out|"
                      r"tunnel|status server error|50[0234] ", re.IGNORECASE)  # fmt: skip
_WHEELS = re.compile(r"Wheels are required for `([A-Za-z0-9][\w.-]*)`")


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
        variables = {
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
        if self.index:
            variables["UV_DEFAULT_INDEX"] = self.index
        if self.offline:
            variables["UV_OFFLINE"] = "1"
        self.cache.mkdir(parents=True, exist_ok=True)
        allowed = Allowed(frozenset()) if self.offline else allowed_hosts(self.index, self.hosts)
        fetching = Fetching(allowed, self.task, self.decisions)
        visible = [Path(program()), interpreter.prefix, *readable]
        done = fetching.run(
            [program(), *arguments], seconds, cwd, variables, readable=visible, writable=(self.cache, *writable)
        )
        if done.exit_code != 0:
            raise _failure(done.errors)
        return done.errors


@functools.cache
def program() -> str:
    """The path of uv: that of the installed package."""
    from uv import find_uv_bin

    return str(find_uv_bin())


def _failure(text: str) -> FetchFailed:
    names = tuple(dict.fromkeys(re.sub(r"[-_.]+", "-", name).lower() for name in _WHEELS.findall(text)))
    reason = " ".join(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Using"))
    reason = re.sub(r"^error: |\s*hint: .*$", "", reason)
    reason = re.sub(r"^No solution found when resolving dependencies:?\s*(cause|╰─▶):?\s*", "", reason)
    return FetchFailed(reason[:1500], unreachable=bool(_NETWORK.search(text)), sdists=names)
