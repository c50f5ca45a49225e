"""What people say about a pull request of Penstock's, and the attempt that works on it."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

BODY_CHARACTERS = 8_000
"""Of one remark, what an attempt sees."""
REQUEST_CHARACTERS = 24_000
"""Of all remarks that one attempt works on."""
_FEEDBACK = uuid.UUID("5c4be0ba-9b0f-5a65-9f5a-0d6f5d6e7f11")
"""Namespace of the ids of feedback."""
_OWN_BRANCH = re.compile(r"penstock/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:-[1-9][0-9]{0,5})?")


@dataclass(frozen=True)
class Feedback:
    """A remark of a review. `id` is unique in its pull request, whose branch is `branch`; `remark` is the forge's own
    id of a comment that has answers in `thread`. `path` and `line` say what it is about. `also` are ids by which the
    same remark may be known already."""

    id: str
    branch: str
    body: str
    author: str
    author_id: str | None = None
    url: str | None = None
    remark: str | None = None
    thread: str | None = None
    path: str | None = None
    line: int | None = None
    also: tuple[str, ...] = ()

    @property
    def task_id(self) -> uuid.UUID | None:
        """The task that published the branch, by its name."""
        return task_of(self.branch)

    def identities(self, team_id: uuid.UUID, place: str) -> list[uuid.UUID]:
        """Its id in the database, and those that it may have there already; `place` names the pull request."""
        return [uuid.uuid5(_FEEDBACK, f"{team_id} {place} {name}") for name in (self.id, *self.also)]


@dataclass(frozen=True)
class FollowUp:
    """What an attempt adds to: the pull request `pull` (`#7`) at `url`, whose branch ends with the commit `head`.
    `request` is what people said about it."""

    pull: str
    url: str
    branch: str
    head: str
    request: str = ""


def checks_identity(team_id: uuid.UUID, place: str, branch: str, head: str) -> uuid.UUID:
    """The id of the failed checks of a commit at the head of a branch; `place` names its repository."""
    return uuid.uuid5(_FEEDBACK, f"{team_id} {place} {branch} checks of {head}")


def task_of(branch: str) -> uuid.UUID | None:
    """The task whose patch a branch holds, if it is one of Penstock's own."""
    found = _OWN_BRANCH.fullmatch(branch)
    return uuid.UUID(found[1]) if found else None


def find_follow_up(connection: Connection[Any], task_id: uuid.UUID, attempt: int) -> FollowUp | None:
    """What this attempt adds to, or None for one that makes a branch of its own."""
    with connection.cursor(row_factory=class_row(FollowUp)) as cursor:
        return cursor.execute(
            "SELECT pull, url, branch, head, request FROM follow_ups WHERE task_id = %s AND attempt = %s",
            (task_id, attempt),
        ).fetchone()


def request_of(remarks: Sequence[tuple[str | None, str | None, int | None, str]]) -> str:
    """The text of a request, from (author, path, line, body) of each remark. One without an author says by itself what
    it is."""
    parts = []
    for author, path, line, body in remarks:
        place = f" on {path}" + (f", line {line}" if line else "") if path else ""
        begin = f"{author} says{place}:\n\n" if author else ""
        parts.append(begin + _cut(body.strip(), BODY_CHARACTERS))
    return _cut("\n\n".join(parts), REQUEST_CHARACTERS)


def checks_text(failed: Sequence[tuple[str, str]], *, where: str = "the pull request", log_characters: int = 0) -> str:
    """What failed checks say at the head of `where`, from (name, log) of each; of a log, at most the last
    `log_characters` (0: all of it). A log is data: its fence is longer than any inside of it."""
    parts = []
    for name, log in failed:
        shown = log[-log_characters:]
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
        said = f"\n\n{fence}text\n{shown}\n{fence}" if shown else ""
        parts.append(f"The check {name!r} fails at the head of {where}.{said}")
    return "\n\n".join(parts)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
