"""Which npm registry packages come from, with its credentials: the operator's setting, else npm's configuration."""

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

DEFAULT = "https://registry.npmjs.org/"
_MOST = 1 << 16


def configured_address(setting: str) -> str:
    """The address, which may hold credentials."""
    address = setting or os.environ.get("NPM_CONFIG_REGISTRY") or ""
    address = address or next((value for name, value in _configured() if name == "registry"), "")
    return address if address.startswith(("https://", "http://")) else DEFAULT


def without_credentials(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/") + "/", "", ""))


def credentials_for(address: str) -> dict[str, str]:
    """Names and values of npm's settings for the registry's host, such as `//host/:_authToken`."""
    host = urlsplit(address).netloc.rpartition("@")[2]
    found = {name: value for name, value in _configured() if name.startswith(f"//{host}/") and ":" in name[2:]}
    parts = urlsplit(address)
    if parts.password:
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password)}"
        found[f"//{host}{parts.path.rstrip('/')}/:_auth"] = base64.b64encode(pair.encode()).decode()
    return found


def _configured() -> Iterator[tuple[str, str]]:
    """The settings of npm on this machine, those that take precedence first."""
    user = os.environ.get("NPM_CONFIG_USERCONFIG") or "~/.npmrc"
    for place in (user, "/usr/local/etc/npmrc", "/usr/etc/npmrc", "/etc/npmrc"):
        try:
            with Path(place).expanduser().open(encoding="utf-8", errors="replace") as opened:
                text = opened.read(_MOST)
        except OSError:
            continue
        for line in text.splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.lstrip().startswith(("#", ";")):
                value = re.sub(r"\$\{(\w+)\}", lambda found: os.environ.get(found[1], ""), value.strip().strip('"'))
                yield name.strip(), value
