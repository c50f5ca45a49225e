"""Runs uv, which resolves and downloads packages: with a scrubbed environment, time limits, and never to build.

Of this process's environment uv sees the index and certificates that are configured, and no other variable; no
configuration file of a repository has any effect.
"""

import functools
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PASSED_ON = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "SSL_CERT_FILE", "SSL_CERT_DIR",
              "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "all_proxy",
              "no_proxy")  # fmt: skip
_NETWORK = re.compile(r"error sending request|dns error|failed to lookup|connection (refused|reset)|timed out|"
                      r"tunnel|status server error|50[0234] ", re.IGNORECASE)  # fmt: skip
_WHEELS = re.compile(
    r"Wheels are required for `([\w.-]+)`|\b([\w.-]+?)(?:[<>=!~]+[\w.]+)? (?:has|have) no usable wheels"
)


class FetchFailed(Exception):
    """Packages could not be resolved or downloaded. `unreachable`: the registry did not answer; `sdists`: names of
    packages that have no wheel for this Python."""

    def __init__(self, message: str, *, unreachable: bool = False, sdists: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.unreachable, self.sdists = unreachable, sdists


@dataclass(frozen=True)
class Uv:
    """uv with its cache in the folder `cache`. `index` is the address of the package index (uv's own, or that of
    the environment, when it is empty); `offline` forbids the network."""

    cache: Path
    index: str = ""
    offline: bool = False

    def run(self, arguments: list[str], seconds: float, cwd: Path) -> str:
        """Runs one command and returns its standard error. Raises `FetchFailed`."""
        variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
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
        try:
            done = subprocess.run([program(), *arguments], capture_output=True, timeout=seconds, check=False, cwd=cwd,
                                  env=variables, stdin=subprocess.DEVNULL)  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise FetchFailed(f"fetching packages took longer than {seconds:.0f} s", unreachable=True) from error
        text = _without_credentials(done.stderr[-20_000:].decode(errors="replace"))
        if done.returncode != 0:
            raise _failure(text)
        return text


@functools.cache
def program() -> str:
    """The path of uv: that of the installed package."""
    from uv import find_uv_bin

    return str(find_uv_bin())


def _without_credentials(text: str) -> str:
    return re.sub(r"(https?://)[^/@\s`]*@", r"\1", text)


def _failure(text: str) -> FetchFailed:
    names = tuple(dict.fromkeys(re.sub(r"[-_.]+", "-", a or b).lower() for a, b in _WHEELS.findall(text)))
    reason = " ".join(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Using"))
    reason = re.sub(r"^error: |\s*hint: .*$", "", reason)
    reason = re.sub(r"^No solution found when resolving dependencies:?\s*(cause|╰─▶):?\s*", "", reason)
    return FetchFailed(reason[:1500], unreachable=bool(_NETWORK.search(text)), sdists=names)
