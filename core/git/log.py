"""Reads the history of a ref: messages and touched paths, newest first."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from core.git.names import check_ref
from core.git.records import Commit

if TYPE_CHECKING:
    from core.git.repository import Repository


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
        "--format=%x01%H%x02%an%x02%at%x02%B%x03",
        "--end-of-options",
        check_ref(ref),
        *((f"^{check_ref(exclude)}",) if exclude else ()),
        "--",
        *paths,
        purpose=f"reading the history of {ref!r}",
    )
    commits = []
    for record in output.split(b"\x01")[1:]:
        head, _, names = record.partition(b"\x03")
        identity, author, seconds, message = head.split(b"\x02", 3)
        touched = tuple(os.fsdecode(name) for name in names.strip(b"\0\n").split(b"\0") if name)
        commits.append(
            Commit(
                identity.decode(),
                author.decode(errors="replace"),
                datetime.fromtimestamp(int(seconds), UTC),
                message.decode(errors="replace").strip(),
                touched,
            )
        )
    return commits
