"""Which hosts objects may call, and with which credentials: `<home>/object-hosts.toml`, which operators write.

    [hosts."api.example.org"]
    header = "Authorization"
    value_file = "/run/secrets/example-token"      # or value = "Bearer …"
    prefix = "Bearer "
    methods = ["GET", "POST"]                      # all by default
    teams = ["default"]                            # the default team by default
    private = true                                 # it may be in your own network; http is allowed then

Without the file, nothing is called. The file is read again when it changes.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from objects.model import Refused

_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Host:
    name: str
    teams: tuple[str, ...] = ("default",)
    methods: tuple[str, ...] = ()
    private: bool = False
    header: str = ""
    prefix: str = ""
    value: str = field(default="", repr=False)
    value_file: str = ""

    def credential(self) -> dict[str, str]:
        """Raises `OSError`."""
        if not self.header:
            return {}
        value = Path(self.value_file).read_text(encoding="utf-8").strip() if self.value_file else self.value
        return {self.header: f"{self.prefix}{value}"}


class Hosts:
    """Raises `Refused` for what operators do not allow, or have written wrongly."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._hosts: Mapping[str, Host] = {}

    def find(self, host: str, team: str, method: str) -> Host:
        self._read()
        found = self._hosts.get(host.lower())
        if found is None or team not in found.teams:
            raise Refused("host", f"calls to {host[:200]} are not allowed: an operator names it in object-hosts.toml")
        if found.methods and method not in found.methods:
            raise Refused("method", f"{method} is not allowed at {host[:200]}")
        return found

    def _read(self) -> None:
        try:
            stat = self._file.stat()
        except OSError:
            self._hosts, self._stamp = {}, None
            return
        if self._stamp == (stat.st_mtime_ns, stat.st_size):
            return
        try:
            if stat.st_size > _MOST_BYTES:
                raise ValueError("it is too large")
            given = tomllib.loads(self._file.read_text(encoding="utf-8")).get("hosts", {})
            self._hosts = {name.lower(): _host(name, value) for name, value in given.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise Refused("hosts", f"object-hosts.toml cannot be read ({type(error).__name__})") from None
        self._stamp = (stat.st_mtime_ns, stat.st_size)


def _host(name: str, value: Mapping[str, Any]) -> Host:
    lists = {field: tuple(str(one) for one in value[field]) for field in ("teams", "methods") if field in value}
    texts = {field: str(value[field]) for field in ("header", "prefix", "value", "value_file") if field in value}
    unknown = set(value) - {"teams", "methods", "header", "prefix", "value", "value_file", "private"}
    if unknown:
        raise ValueError(f"{name}.{min(unknown)} is not expected")
    return Host(name, private=value.get("private") is True, **lists, **texts)  # type: ignore[arg-type]
