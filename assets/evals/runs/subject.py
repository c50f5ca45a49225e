"""What is under test: the protocol of a subject, and the result that it returns for a case.

A subject whose surroundings failed (sandbox, server, disk) raises `InfrastructureFailure`; the runner retries and never
counts it against the subject. A subject that did its work badly returns an outcome.
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


class NotRunnable(RuntimeError):
    """This machine lacks what a case needs, such as a compiler; the message says what, and how to get it. A retry would
    not help, and the other cases of the run are not affected."""


class SubjectCannotStart(RuntimeError):
    """The subject cannot be used on this machine; the message says what is missing."""


class UnknownSubject(ValueError):
    """A text names an unknown subject, or an option that the subject does not have."""


class CaseOutcome(StrEnum):
    """How one run of a case ended."""

    CORRECT = "correct"
    WRONG = "wrong"
    """A wrong answer that the subject took for right."""
    UNRESOLVED = "unresolved"
    """The subject reported that it has no answer."""
    TIMEOUT = "timeout"
    """The runner stopped waiting. Counts as a failure of the subject, which knew its limit."""
    ERROR = "error"
    """The subject raised an exception."""
    INFRASTRUCTURE = "infrastructure"
    """The infrastructure failed, so the run says nothing about the subject."""
    NOT_RUNNABLE = "not runnable"
    """The case cannot be run on this machine, so the run says nothing about the subject."""

    @property
    def silent(self) -> bool:
        """Whether it says nothing about the subject, so that there is no success."""
        return self in (CaseOutcome.INFRASTRUCTURE, CaseOutcome.NOT_RUNNABLE)


@dataclass(frozen=True)
class Attempt:
    """One run of one case. `seed` depends on the run's seed, the case and the repeat; `seconds` is the time limit;
    `folder` is where the subject may write a trajectory and a patch."""

    case: Case
    repeat: int
    seed: int
    seconds: float
    folder: Path


@dataclass(frozen=True)
class CaseResult:
    """A subject's result. `success` is the primary measure; `metrics` are numbers by name, without those that were not
    measured. `trajectory` and `patch` are file names in the attempt's folder."""

    outcome: CaseOutcome
    success: bool
    metrics: Mapping[str, float] = field(default_factory=dict)
    summary: str = ""
    trajectory: str | None = None
    patch: str | None = None


class Subject(Protocol):
    """Something that solves cases. In a parallel run, `solve` is called from several threads."""

    @property
    def name(self) -> str:
        """A short name, also used for folders: `search-60s`."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of sets that it can solve."""

    def identity(self) -> dict[str, str]:
        """The version of everything that a result depends on: engine, model digest, prompt hash, index, limits."""

    def start(self) -> None:
        """Prepares for a run. Raises `SubjectCannotStart`."""

    def solve(self, attempt: Attempt) -> CaseResult:
        """Raises `InfrastructureFailure` if something other than the subject failed, and `NotRunnable`."""


def identity_digest(identity: Mapping[str, str]) -> str:
    """A hash of all versions, in twelve hexadecimal digits."""
    return hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()[:12]


def seed_for(run_seed: int, case_id: str, repeat: int) -> int:
    """The seed of one case and repeat. It is equal for all subjects, so that a comparison also pairs their random
    numbers."""
    return int.from_bytes(hashlib.sha256(f"{run_seed}\0{case_id}\0{repeat}".encode()).digest()[:6], "big")
