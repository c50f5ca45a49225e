"""Decides whether code of a type is let out: a pure function of the evidence that was measured about exactly that
code."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One thing that was tried. `kind`: load, scenario, answer, repeat, restart, hostile, reading, migrate."""

    kind: str
    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True)
class Evidence:
    """What was measured about code with this hash, in which sandbox."""

    sha256: str
    sandbox: str
    checks: tuple[Check, ...]
    scenarios: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    passed: bool
    sha256: str
    reasons: tuple[str, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        return {"passed": self.passed, "sha256": self.sha256, "reasons": list(self.reasons), "evidence": self.evidence}


REQUIRED = ("load", "answer", "repeat", "restart", "hostile")
"""Kinds of checks without which nothing is known of the code."""


def code_hash(source: str, manifest: Mapping[str, Any]) -> str:
    """The hash that a verdict is bound to."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{len(source)}\n{source}\n{text}".encode()).hexdigest()


def judge(sha256: str, evidence: Evidence) -> Verdict:
    """The verdict about code with a hash. Evidence about other code never passes."""
    reasons: list[str] = []
    if evidence.sha256 != sha256:
        reasons.append("the evidence is about other code")
    reasons += [f"{one.kind}: {one.name}: {one.detail}"[:500] for one in evidence.checks if not one.passed]
    seen = {one.kind for one in evidence.checks}
    reasons += [f"{kind}: was not tried" for kind in REQUIRED if kind not in seen and not reasons]
    return Verdict(not reasons, sha256, tuple(reasons[:50]), {**asdict(evidence), "checks": _short(evidence.checks)})


def _short(checks: Sequence[Check]) -> list[dict[str, Any]]:
    return [asdict(one) for one in checks[:300]]
