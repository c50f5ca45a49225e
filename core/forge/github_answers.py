"""Answers of GitHub's API, and of Gitea's where they are alike, as far as they are used."""

import re
from typing import Any

from core.forge.host import Comment as FoundComment
from core.forge.host import Pull, PullState
from core.payload import Number, Payload, Text

_TIME = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ?", re.MULTILINE)
_ERROR = "##[error]"


class Account(Payload):
    login: Text


class Permission(Payload):
    """The permission of an account, of GitHub or Gitea; GitHub counts maintainers as `write`."""

    permission: Text

    @property
    def may_write(self) -> bool:
        return self.permission in ("write", "admin", "owner")


class Repository(Payload):
    """A repository of GitHub or Gitea."""

    default_branch: Text
    owner: Account


class PullRequest(Payload):
    """A pull request of GitHub or Gitea."""

    number: Number
    html_url: Text
    state: Text
    merged_at: Any = None

    def found(self) -> Pull:
        state = PullState.MERGED if self.merged_at else PullState(self.state)
        return Pull(f"#{self.number}", self.html_url, state)


class Comment(Payload):
    """A comment of GitHub or Gitea."""

    id: Number
    html_url: Text
    body: Text | None = None
    user: Account | None = None

    def found(self) -> FoundComment:
        return FoundComment(str(self.id), self.user.login if self.user else "", self.html_url, self.body or "")


class ReviewComment(Comment):
    """A comment of a review of GitHub's."""

    in_reply_to_id: Number | None = None


class _Output(Payload):
    title: Text | None = None
    summary: Text | None = None
    text: Text | None = None


class _App(Payload):
    slug: Text | None = None


class CheckRun(Payload):
    id: Number
    name: Text
    status: Text
    conclusion: Text | None = None
    html_url: Text | None = None
    details_url: Text | None = None
    output: _Output | None = None
    app: _App | None = None

    @property
    def is_job(self) -> bool:
        """Whether it is a job of Actions, which has the same id."""
        return self.app is not None and self.app.slug == "github-actions"

    @property
    def failed(self) -> bool:
        return self.conclusion in ("failure", "timed_out", "startup_failure")

    @property
    def said(self) -> str:
        output = self.output
        return "\n\n".join(filter(None, (output.title, output.summary, output.text))) if output else ""


class CheckRuns(Payload):
    check_runs: list[CheckRun]


class Status(Payload):
    """A status of a commit, of GitHub or Gitea."""

    context: Text = ""
    state: Text = ""
    status: Text = ""
    """Gitea's name for `state`."""
    target_url: Text | None = None
    description: Text | None = None

    @property
    def failed(self) -> bool:
        return (self.state or self.status) in ("failure", "error")


class CombinedStatus(Payload):
    statuses: list[Status] | None = None


class Annotation(Payload):
    path: Text | None = None
    start_line: Number | None = None
    message: Text | None = None

    @property
    def line(self) -> str:
        return f"{self.path or ''}:{self.start_line or ''}: {self.message or ''}"


class _Required(Payload):
    context: Text


class _Parameters(Payload):
    required_status_checks: list[_Required] | None = None


class Rule(Payload):
    type: Text
    parameters: _Parameters | None = None

    @property
    def required(self) -> set[str]:
        found = self.parameters.required_status_checks if self.parameters else None
        return {one.context for one in found or ()}


class _ProtectedChecks(Payload):
    contexts: list[Text] | None = None


class _Protection(Payload):
    required_status_checks: _ProtectedChecks | None = None


class Branch(Payload):
    protection: _Protection | None = None

    @property
    def required(self) -> set[str]:
        found = self.protection.required_status_checks if self.protection else None
        return set(found.contexts or ()) if found else set()


def failed_part(log: str) -> str:
    """The log of a job of Actions up to its last error, after which it only cleans up, without the times of lines."""
    text = _TIME.sub("", log)
    error = text.rfind(_ERROR)
    end = text.find("\n", error) if error >= 0 else -1
    return text if end < 0 else text[:end]
