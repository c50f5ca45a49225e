"""Reads the history of a ref: messages and touched paths, newest first.

Fields are parted by NUL, the one byte that neither a message nor a name nor a path can hold, since anyone may
have written them. A commit whose date is damaged is read like any other.
"""

import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from core.git.command import GitError
from core.git.names import check_object_id, check_ref
from core.git.records import Commit

if TYPE_CHECKING:
    from core.git.repository import Repository

_FORMAT = "%x00%H%x00%an%x00%at%x00%ct%x00%B%x00"
_FIELDS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(
    repository: "Repository", ref: str, *, limit: int, paths: Iterable[str], merges: bool, exclude: str | None
) -> list[Commit]:
    """See `Repository.log`."""
    _, output = repository.git(
        "--literal-pathspecs",
        "log",
        "-z",
        f"--max-count={int(limit)}",
        "--no-show-signature",
        "--no-ext-diff",
        "--no-textconv",
        "--no-renames",
        "--no-mailmap",
        "--name-only",
        *(() if merges else ("--no-merges",)),
        f"--format={_FORMAT}",
        "--end-of-options",
        check_ref(ref),
        *((f"^{check_ref(exclude)}",) if exclude else ()),
        "--",
        *paths,
        purpose=f"reading the history of {ref!r}",
    )
    return [_commit(repository, fields, names) for fields, names in _records(output)]


def _records(output: bytes) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The fields of each commit, and its paths. An empty field stands before each commit, and one after its message."""
    fields = output.split(b"\0")
    at = 1
    while at + _FIELDS <= len(fields):
        head = fields[at : at + _FIELDS]
        at += _FIELDS + 1
        names = []
        while at < len(fields) and fields[at]:
            names.append(fields[at])
            at += 1
        at += 1
        if names:
            names[0] = names[0].removeprefix(b"\n")  # which parts the message from the paths
        yield head, names


def _commit(repository: "Repository", fields: list[bytes], names: list[bytes]) -> Commit:
    identity, author, authored, committed, message = fields
    try:
        found = check_object_id(identity.decode("ascii", "replace"))
    except GitError as error:
        raise GitError(f"reading the history of {repository.path}: git's answer cannot be read ({error})") from error
    return Commit(
        found,
        author.decode(errors="replace"),
        _moment(authored) or _moment(committed) or _EPOCH,
        message.decode(errors="replace").strip(),
        tuple(os.fsdecode(name) for name in names),
    )


def _moment(seconds: bytes) -> datetime | None:
    """None for a date that is missing or beyond what a calendar holds, as tools that write commits have left some."""
    if not re.fullmatch(rb"-?\d{1,12}", seconds):
        return None
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return None
