"""What the fake forge remembers: users, repositories, issues, pull requests, and what was asked of it.

Plain mutable records without behaviour. Whoever reads or changes them from a thread of the server holds the lock of
`State`; a test may read them once its own requests have been answered.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

PERMISSIONS = ("none", "read", "write", "admin")
"""From least to most."""


class ForgeError(Exception):
    """An operation that the state refuses; each dialect answers it in its own words."""


class NotFound(ForgeError):
    """There is no such repository, user, issue, pull request, comment or file, or the user may not know of it."""


class Invalid(ForgeError):
    """A field has a value that no forge accepts. `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field = field
        self.message = message


class NoSuchBranch(ForgeError):
    """The branch in `field`, "head" or "base", does not exist."""

    def __init__(self, field: str, branch: str) -> None:
        super().__init__(f"{field} {branch} does not exist")
        self.field = field
        self.branch = branch


class NothingToMerge(ForgeError):
    """The head branch has no commit that its base lacks."""


class AlreadyExists(ForgeError):
    """An open pull request has the same head and base."""

    def __init__(self, pull: "Pull") -> None:
        super().__init__(f"pull request {pull.number} is open for the same branches")
        self.pull = pull


@dataclass
class User:
    id: int
    login: str
    name: str
    created: datetime
    is_bot: bool = False


@dataclass
class Token:
    """A credential of `user`. `name` is what logs call it."""

    name: str
    user: User
    secret: str = field(repr=False)
    is_installation: bool = False


@dataclass
class Label:
    id: int
    name: str
    color: str = "ededed"
    """Six hexadecimal digits without `#`."""
    description: str = ""


@dataclass
class Comment:
    id: int
    author: User
    body: str
    created: datetime
    updated: datetime


@dataclass
class Remark(Comment):
    """A comment on a line of a pull request. `thread` is the id of the first one there, its own if it is that."""

    path: str
    line: int
    thread: int


@dataclass
class Review:
    """`state` is `approved`, `commented` or `changes_requested`."""

    id: int
    author: User
    body: str
    state: str
    created: datetime


@dataclass
class Happened:
    """One entry of an issue's history: `kind` is `labeled`, `unlabeled` or `assigned`, `name` the label or login."""

    id: int
    kind: str
    name: str
    actor: User
    at: datetime


@dataclass(kw_only=True)
class Issue:
    """`number` is shared with pull requests (GitHub, Gitea); `iid` counts issues alone (GitLab)."""

    id: int
    number: int
    iid: int
    title: str
    body: str
    author: User
    created: datetime
    updated: datetime
    state: str = "open"
    """`open` or `closed`; a merged pull request is closed."""
    closed: datetime | None = None
    labels: list[str] = field(default_factory=list)
    assignees: list[User] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    history: list[Happened] = field(default_factory=list)


@dataclass
class Changes:
    """What a pull request would bring to its base."""

    commits: int = 0
    additions: int = 0
    deletions: int = 0
    files: int = 0


@dataclass(kw_only=True)
class Pull(Issue):
    """A pull request, GitLab's merge request; `iid` counts those alone (GitLab, Bitbucket). `title` is without a
    draft's prefix."""

    head: str
    base: str
    head_commit: str
    base_commit: str
    draft: bool = False
    merged: datetime | None = None
    merged_by: User | None = None
    merge_commit: str | None = None
    reviewers: list[User] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)


OPTIONAL = "optional"
"""The external id of a check that need not pass."""


@dataclass
class CheckRun:
    id: int
    name: str
    head_commit: str
    created: datetime
    status: str = "queued"
    conclusion: str | None = None
    completed: datetime | None = None
    details_url: str | None = None
    external_id: str = ""
    output: dict[str, Any] = field(default_factory=dict)
    job_log: bytes | None = None
    """Of a job of the forge's own builds (Actions, Pipelines), its log."""


@dataclass
class Repository:
    """A bare git repository at `path`, and what the forge keeps beside it."""

    id: int
    owner: str
    name: str
    path: Path
    default_branch: str
    created: datetime
    private: bool = False
    description: str = ""
    permissions: dict[str, str] = field(default_factory=dict)
    """Login to one of `PERMISSIONS`."""
    labels: dict[str, Label] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    """Without pull requests, in order of creation."""
    pulls: list[Pull] = field(default_factory=list)
    check_runs: list[CheckRun] = field(default_factory=list)
    pushed: datetime | None = None
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass
class App:
    """The GitHub App that is registered."""

    public_key: Path | None = None
    """A file with its public key (PEM); without one, the signatures of its JWTs are not checked."""
    installations: dict[int, set[str]] = field(default_factory=dict)
    """Installation to full names of repositories; each owner of repositories has one installation."""


@dataclass
class Request:
    """One request as the log keeps it. `path` is as it came, with its query."""

    method: str
    path: str
    dialect: str
    """`github`, `gitlab`, `gitea`, `bitbucket`, `slack`, `git` or `page`."""
    token: str
    """The token's name; "" without credentials, "?" for a credential that the forge does not know."""
    at: float
    """When it came, in seconds of `time.monotonic`."""
    status: int = 0
    """Of the answer, also of one that was lost; 0 while there is none."""
    fault: str = ""
    """The kind of the fault that was injected."""


@dataclass(frozen=True)
class Write:
    """One change of the state. `action` is `<object>.<verb>`, such as `pull.create`; `subject` is the object's number,
    id or name. `dialect` is that of the request, or `python` for a change made by the program that runs the forge."""

    action: str
    repository: str
    subject: str
    user: str
    dialect: str
    at: float
