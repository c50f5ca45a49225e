"""What publishing needs of a forge's API: pull requests of a branch, and comments. One adapter per service.

Every adapter looks up and writes what it is asked to, once, and decides nothing; `core.forge.hosted` decides.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.http import Limits, Pauses, RateLimited, RequestRefused, Service, ServiceUnavailable
from core.http.handed_on import read_end
from core.payload import BadField, clean

PAUSES = Pauses(first=0.25, longest=2.0, longest_asked=2.0, unsaid=60.0)
"""A forge that asks for a longer pause gets it, and the caller does other work meanwhile."""
MOST_PULLS = 100
"""The most pull requests of one branch that are looked at."""
MOST_COMMENTS = 2_000
"""The most comments of one ticket among which the status comment is looked for, the oldest first."""
PAGE = 100
MOST_CHECKS = 100
MOST_LOGS = 5
LOG_CHARACTERS = 6_000
LOG_BYTES = 64 << 10
"""Of a job's log, the end that is read."""
READ = Limits(seconds=20.0, retries=2, most_bytes=16 << 20)
READ_TEXT = replace(READ, json=False)
WRITE = Limits(seconds=20.0, retries=0, most_bytes=16 << 20)
"""A write is never repeated without looking first whether it was done."""


class PullState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


_TERMINAL = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_FOLD = re.compile(r"section_(?:start|end):\d+:|::(?:group|endgroup)::|##\[endgroup\]")


@dataclass(frozen=True)
class Pull:
    """A pull (merge) request; `key` is #12 or !12."""

    key: str
    url: str
    state: PullState


@dataclass(frozen=True)
class NewPull:
    branch: str
    base: str
    title: str
    body: str
    draft: bool


@dataclass(frozen=True)
class Comment:
    """`author` is the login of whoever wrote it; empty if that account is gone."""

    id: str
    author: str
    url: str
    body: str


@dataclass(frozen=True)
class Check:
    """A failed check of a commit. `log` is the end of what it says."""

    name: str
    url: str
    log: str


@dataclass(frozen=True)
class Checks:
    """The checks of a commit: whether each has ended, and those that failed. Where the service says which are required,
    the others are left out."""

    settled: bool
    failed: tuple[Check, ...] = ()


class PullExists(ForgeUnavailable):
    """The forge has an open pull request of this branch already."""


class CodeHost(Protocol):
    """One repository at a forge's API. All methods raise `ForgeUnavailable` and `PublicationRefused`."""

    @property
    def target(self) -> str:
        """`<service>:<owner>/<name>`."""

    @property
    def most_characters(self) -> int:
        """The longest text of a pull request or comment."""

    def login(self) -> str:
        """The account that the token belongs to."""

    def may_write(self, login: str, user_id: str | None) -> bool:
        """Whether this account may write to the repository, by the forge's answer of this moment."""

    def default_branch(self) -> str: ...

    def pulls_of(self, branch: str) -> list[Pull]:
        """Every pull request of a branch of this repository, in any state, the newest first."""

    def create_pull(self, new: NewPull) -> Pull:
        """Raises `PullExists` too."""

    def comments(self, ticket: str) -> Iterator[Comment]:
        """The comments of an issue (`#12`) or merge request (`!12`), the oldest first, at most `MOST_COMMENTS`."""

    def create_comment(self, ticket: str, text: str) -> Comment: ...

    def edit_comment(self, ticket: str, comment: Comment, text: str) -> Comment: ...

    def thread(self, pull: str, thread: str) -> list[Comment]:
        """The comments of a thread of a pull request's review, the oldest first; empty if there is none."""

    def reply(self, pull: str, thread: str, text: str) -> Comment: ...

    def add_labels(self, pull: str, labels: tuple[str, ...]) -> None:
        """Adds labels, which are made if there are none of these names. Nothing where pull requests have no labels."""

    def checks(self, commit: str, base: str) -> Checks:
        """The checks of a commit, for the branch `base`; at most `MOST_CHECKS`, of which at most `MOST_LOGS` with a
        log."""


class NoThreads:
    """For a service whose API has no answers in threads: they are comments of the conversation."""

    def thread(self, pull: str, thread: str) -> list[Comment]:
        return []

    def reply(self, pull: str, thread: str, text: str) -> Comment:
        raise PublicationRefused("this forge's API has no answers in threads")


@contextmanager
def translated(where: str, remedy: str, exists: Callable[[RequestRefused], bool]) -> Iterator[None]:
    """Turns the errors of `core.http`, also those that a client of a service has wrapped, into the forge's.

    `where` is the service, `remedy` says which token to give when access is refused, and `exists` whether a refusal
    means that there is a pull request already.
    """
    try:
        yield
    except (ForgeUnavailable, PublicationRefused):
        raise
    except Exception as error:
        found = _own(error)
        if found is None:
            raise
        if isinstance(found, RequestRefused) and exists(found):
            raise PullExists(str(found)) from None
        raise _failure(found, where, remedy) from None


@contextmanager
def absent_is_no() -> Iterator[None]:
    """Ends the block when the service has no such thing (404), also if a client of the service has wrapped that."""
    try:
        yield
    except Exception as error:
        found = _own(error)
        if not isinstance(found, RequestRefused) or found.status != 404:
            raise


def _own(error: Exception) -> ServiceUnavailable | BadField | None:
    """The error of `core.http` or `core.payload` that this is, or that a client of a service has wrapped."""
    for found in (error, error.__cause__, getattr(error, "exc", None)):
        if isinstance(found, ServiceUnavailable | BadField):
            return found
    return None


def _failure(error: ServiceUnavailable | BadField, where: str, remedy: str) -> RuntimeError:
    if isinstance(error, BadField):
        return ForgeUnavailable(f"{where} answers in another format than its API's: {error}")
    if isinstance(error, RateLimited):
        return ForgeUnavailable(str(error), error.seconds)
    if isinstance(error, RequestRefused):
        if error.status == 403 and "rate limit" in str(error).lower():  # a secondary limit that does not say how long
            return ForgeUnavailable(str(error), PAUSES.unsaid)
        if error.status in (401, 403, 404):  # a private repository that the token may not see is a 404
            return ForgeUnavailable(f"{error}: {remedy}")
        return PublicationRefused(str(error))
    return ForgeUnavailable(str(error))


def listed(answer: Any) -> list[Mapping[str, Any]]:
    """Raises `BadField` if the answer is not a list of objects."""
    if not isinstance(answer, list) or not all(isinstance(item, Mapping) for item in answer):
        raise BadField("the answer", "must be a list of objects")
    return answer


def end_of(log: str) -> str:
    """The last `LOG_CHARACTERS` of a log as a terminal would show it, without the marks by which it is folded."""
    lines = _TERMINAL.sub("", log[-8 * LOG_CHARACTERS :]).replace("\r\n", "\n").split("\n")
    shown = (line.rstrip().rpartition("\r")[2] for line in lines)  # a line is overwritten after a carriage return
    text = clean("\n".join(line for line in shown if not _FOLD.match(line)).strip())
    return text if len(text) <= LOG_CHARACTERS else "…" + text[1 - LOG_CHARACTERS :]


def job_log(service: Service, path: str) -> str:
    """The end of the log of a job of continuous integration; "" if there is none, or it cannot be read now."""
    try:
        return read_end(service, path, LOG_BYTES).decode(errors="replace")
    except ServiceUnavailable:
        return ""


def number_of(ticket: str) -> int:
    """12, of `#12` or `!12`. Raises `PublicationRefused`."""
    digits = ticket[1:]
    if ticket[:1] not in ("#", "!") or not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        raise PublicationRefused(f"{ticket[:40]!r} is not the key of a ticket")
    return int(digits)
