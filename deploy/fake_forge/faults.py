"""Failures on demand: an ordered list of rules, of which the first that matches a request is applied to it."""

import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = ("status", "drop_before", "drop_after", "html", "slow", "redirect")
ERROR_PAGE = "<!DOCTYPE html><html><head><title>Sorry</title></head><body><h1>Down for maintenance</h1></body></html>"


@dataclass
class Fault:
    """One rule. `kind` is

    - `status`: the answer is `status` with `body` and `headers`, and nothing is done;
    - `drop_before`: the connection is closed and nothing is done;
    - `drop_after`: the request is carried out, then the connection is closed without an answer;
    - `html`: 200 with an HTML page (or `body`), as a proxy in maintenance answers, and nothing is done;
    - `slow`: the request is carried out and each byte of the answer's body comes `seconds` after the one before;
    - `redirect`: `status` (302 unless given) to `location`, and nothing is done.
    """

    kind: str
    method: str = ""
    """Of the requests that it matches; "" means any."""
    path: str = ""
    """A regular expression that is searched for in the path and query as they were sent; "" matches all."""
    times: int = 1
    """How many requests it is applied to."""
    skip: int = 0
    """How many matching requests are first let through."""
    status: int = 0
    body: Any = None
    """Text, or what is sent as JSON."""
    headers: dict[str, str] = field(default_factory=dict)
    location: str = ""
    seconds: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault: kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.kind == "redirect" and not self.location:
            raise ValueError("fault: a redirect needs a location")
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"fault: path {self.path!r} is no regular expression: {error}") from error
        self.status = self.status or {"status": 500, "redirect": 302}.get(self.kind, 200)

    def matches(self, method: str, path: str) -> bool:
        return self.method.upper() in ("", method) and re.search(self.path, path) is not None


def parse(raw: Mapping[str, Any]) -> Fault:
    """A rule from JSON. Raises `ValueError` that names the field."""
    unknown = set(raw) - set(Fault.__dataclass_fields__)
    if unknown or "kind" not in raw:
        raise ValueError(f"fault: {'unknown field ' + sorted(unknown)[0] if unknown else 'kind is missing'}")
    for name, kind in (("times", int), ("skip", int), ("status", int), ("headers", dict)):
        if name in raw and not isinstance(raw[name], kind):
            raise ValueError(f"fault: {name} is not of type {kind.__name__}")
    return Fault(**raw)


class Faults:
    """The rules, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._rules.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def shown(self) -> list[dict[str, Any]]:
        """The rules that may still be applied."""
        with self._lock:
            return [asdict(rule) for rule in self._rules if rule.times]

    def take(self, method: str, path: str) -> Fault | None:
        """The rule for this request, which counts as applied."""
        with self._lock:
            for rule in self._rules:
                if rule.times and rule.matches(method, path):
                    if rule.skip:
                        rule.skip -= 1
                        return None
                    rule.times -= 1
                    return rule
        return None
