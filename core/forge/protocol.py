"""The forge protocol: where results are published. Not for deciding whether to publish them.

A patch goes out only with a `pass` or `draft` verdict for its own hash; `permit` is that rule, and
every adapter calls it. Publishing the same (task, attempt) again returns the existing publication.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.follow_ups import FollowUp
from core.work import Patch, Verdict, VerdictKind


class PublicationRefused(RuntimeError):
    """This publication can never succeed (no verdict, a branch that is not ours, a bad target)."""


class ForgeUnavailable(RuntimeError):
    """The forge could not be reached or was busy: try again later, after `pause` seconds if it says how long."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


def own_branch(task_id: uuid.UUID, attempt: int) -> str:
    """`penstock/<task id>`, followed by `-<attempt>` from the second attempt on."""
    return f"penstock/{task_id}" + (f"-{attempt}" if attempt > 1 else "")


@dataclass(frozen=True)
class Publication:
    """What to publish about one attempt. `report` is Markdown; `when` makes repeats byte-identical."""

    task_id: uuid.UUID
    attempt: int
    title: str
    message: str
    """The commit message."""
    report: str
    patch: Patch | None
    verdict: Verdict
    when: datetime
    description: str = ""
    """The text of a pull request, in Markdown. Empty: the report."""
    ticket: str | None = None
    """The key of the ticket on the same forge that the task is about, such as `#12`."""
    follow_up: FollowUp | None = None
    """The pull request that the patch, whose base is the head of its branch, is added to."""

    @property
    def own_branch(self) -> str:
        """The branch of this attempt alone: see `own_branch`."""
        return own_branch(self.task_id, self.attempt)

    @property
    def branch(self) -> str:
        """Where the patch goes: a branch of its own, or that of the pull request."""
        return self.follow_up.branch if self.follow_up else self.own_branch


class Forge(Protocol):
    @property
    def target(self) -> str:
        """The name of this place in publication rows, such as `git:<source name>`."""

    def publish(self, publication: Publication) -> str:
        """Publishes the patch, as a branch or a pull request, and returns where it is. Raises `PublicationRefused`,
        `ForgeUnavailable`."""

    def comment(self, publication: Publication) -> str:
        """Publishes the report alone and returns where it is. Raises as `publish` does."""


def permit(publication: Publication) -> Patch:
    """The patch, if its verdict allows publishing it. Raises `PublicationRefused`, which names what is missing."""
    patch, verdict = publication.patch, publication.verdict
    if patch is None:
        raise PublicationRefused(f"task {publication.task_id}: there is no patch to publish")
    if verdict.verdict not in (VerdictKind.PASS, VerdictKind.DRAFT):
        failed = ", ".join(check.name for check in verdict.checks if not check.passed)
        raise PublicationRefused(f"task {publication.task_id}: the gate's verdict is {verdict.verdict} ({failed})")
    if verdict.patch_sha256 != patch.sha256:
        raise PublicationRefused(
            f"task {publication.task_id}: the verdict is for patch {verdict.patch_sha256}, not for {patch.sha256}"
        )
    return patch
