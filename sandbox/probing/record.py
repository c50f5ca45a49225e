"""What a probe reports. Plain data, for the probes, the command line and the published matrix."""

from dataclasses import dataclass
from enum import StrEnum

FAMILIES = (
    "network",
    "Unix sockets",
    "files",
    "links",
    "proc and sys",
    "privileges",
    "kernel",
    "terminal",
    "lifetime",
    "limits",
    "must work",
    "fetch step",
)
"""In the order in which results are shown."""


class Outcome(StrEnum):
    """How an attempt ended. For a thing that must work inside (a clock), `HELD` means that it works."""

    HELD = "held"
    BROKEN = "broken"
    NOT_APPLICABLE = "not applicable"
    """The kernel or the user of this machine lacks the mechanism; the evidence says which."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one probe, before it is known on which backend it ran. `attempt` says what was tried."""

    family: str
    probe: str
    attempt: str
    outcome: Outcome
    evidence: str


@dataclass(frozen=True)
class ProbeResult:
    """A finding on one backend."""

    backend: str
    family: str
    probe: str
    attempt: str
    outcome: Outcome
    evidence: str

    @property
    def passed(self) -> bool | None:
        """None where the probe does not apply."""
        return None if self.outcome is Outcome.NOT_APPLICABLE else self.outcome is Outcome.HELD


def outcome(broken: bool) -> Outcome:
    return Outcome.BROKEN if broken else Outcome.HELD
