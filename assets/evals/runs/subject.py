"""What is under test: the one protocol that the runner knows, and what a subject hands back for a case.

A subject that could not do its work because something around it was broken raises
`InfrastructureFailure`; a subject that did it badly returns an outcome. The first is tried again and
never counted against the subject.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from assets.evals.sets.eval_set import Case


class InfrastructureFailure(RuntimeError):
    """Sandbox, server, disk or network failed, not the subject."""


class SubjectCannotStart(RuntimeError):
    """The subject is not usable here at all; the message says what is missing."""


class UnknownSubject(ValueError):
    """A text names no subject, or an option that it does not have."""


class CaseOutcome(StrEnum):
    """How one run of a case ended."""

    CORRECT = "correct"
    WRONG = "wrong"
    """An answer that looked right to the subject and is not."""
    UNRESOLVED = "unresolved"
    """No answer, and it said so."""
    TIMEOUT = "timeout"
    """Given up by the runner; counts as a failure of the subject, which was told its limit."""
    ERROR = "error"
    """The subject itself broke."""
    INFRASTRUCTURE = "infrastructure"
    """Nothing was learnt about the subject."""


@dataclass(frozen=True)
class Attempt:
    """One run of one case. `seed` is fixed by run, case and repeat; `folder` is where a trajectory may be left."""

    case: Case
    repeat: int
    seed: int
    seconds: float
    folder: Path


@dataclass(frozen=True)
class CaseResult:
    """What a subject hands back. `success` is the primary measure; `metrics` holds numbers by name, none invented:
    a metric that was not measured is left out. `trajectory` and `patch` are file names in the attempt's folder."""

    outcome: CaseOutcome
    success: bool
    metrics: Mapping[str, float] = field(default_factory=dict)
    summary: str = ""
    trajectory: str | None = None
    patch: str | None = None


class Subject(Protocol):
    """Something that solves cases. `solve` is called from several threads if the run is parallel."""

    @property
    def name(self) -> str:
        """Short, for people and folders: `search-60s`."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of sets it understands."""

    def identity(self) -> dict[str, str]:
        """Every version that a result depends on: engine, model digest, prompt hash, index version, limits."""

    def start(self) -> None:
        """Gets ready. Raises `SubjectCannotStart`."""

    def solve(self, attempt: Attempt) -> CaseResult:
        """Raises `InfrastructureFailure` when nothing was learnt."""


def identity_digest(identity: Mapping[str, str]) -> str:
    """Twelve hexadecimal digits that differ whenever any version differs."""
    return hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()[:12]


def seed_for(run_seed: int, case_id: str, repeat: int) -> int:
    """The same for every subject, so that a comparison is paired in its chance as well."""
    return int.from_bytes(hashlib.sha256(f"{run_seed}\0{case_id}\0{repeat}".encode()).digest()[:6], "big")
