"""Reads the history of a ref: messages and changed paths, newest first.

Fields are separated by NUL, the one byte that no message, name or path can hold, since their authors are not trusted.
A commit with a damaged date is read like any other. Git's output is read piece by piece, since that of commits with
many paths can be larger than memory.
"""

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import IO

from core.git import command
from core.git.command import GitError, GitTimeout
from core.git.names import check_object_id, check_ref
from core.git.objects import ObjectStore
from core.git.records import Commit

_FORMAT = "%x00%H%x00%an%x00%at%x00%ct%x00%B%x00"
_FIELDS = 5
_PIECE = 1 << 18
_LONGEST_FIELD = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(
    repository: ObjectStore,
    ref: str,
    *,
    limit: int,
    paths: Iterable[str],
    merges: bool,
    exclude: str | None,
    most_paths: int | None,
    patience: float | None,
) -> list[Commit]:
    """See `Repository.log`."""
    arguments = [
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
    ]
    commits: list[Commit] = []
    running = command.stream(
        arguments,
        purpose=f"reading the history of {ref!r}",
        where=repository.path,
        git_dir=repository.git_dir,
        timeout=command.TIMEOUT if patience is None else patience,
    )
    try:
        with running as output:
            for fields, names in _records(_fields(output), most_paths):
                commits.append(_commit(repository, fields, names))
    except GitTimeout:
        if patience is None:
            raise
        return commits[:-1]  # the last one's paths may be incomplete
    return commits


def _fields(output: IO[bytes]) -> Iterator[bytes]:
    """The bytes before each NUL; of a very long field, only the beginning."""
    held: list[bytes] = []
    size = 0
    while piece := output.read(_PIECE):
        first, *others = piece.split(b"\0")
        if size < _LONGEST_FIELD:
            held.append(first)
            size += len(first)
        if others:
            yield b"".join(held)
            yield from others[:-1]
            held, size = [others[-1]], len(others[-1])


def _records(fields: Iterator[bytes], most_paths: int | None) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The fields of each commit, and its paths. Git writes an empty field before a commit, and one after its message.

    Of more than `most_paths` paths, only the first `most_paths` + 1 are returned.
    """
    next(fields, None)
    while True:
        head = list(itertools.islice(fields, _FIELDS))
        if len(head) < _FIELDS or next(fields, None) is None:
            return
        names: list[bytes] = []
        for name in fields:
            if not name:
                break
            if most_paths is None or len(names) <= most_paths:
                names.append(name)
        if names:
            names[0] = names[0].removeprefix(b"\n")  # git's separator between message and paths
        yield head, names


def _commit(repository: ObjectStore, fields: list[bytes], names: list[bytes]) -> Commit:
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
    """None for a date that is missing or beyond the calendar's range, as other tools than git have written some."""
    if not re.fullmatch(rb"-?\d{1,12}", seconds):
        return None
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return None
