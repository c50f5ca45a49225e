"""What earlier commits changed, as evidence of where the next change may be.

`read_history` reads it from git; `PastCommits` lets ranking look up similar messages and files that change together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from assets.context.chunking import terms
from core.git import Repository

Numbers = NDArray[np.int64]

MOST_COMMITS = 2000
"""The most commits in an index's history."""

MOST_PATHS = 30
"""A commit that changed more files than this says little about any of them and is left out."""

MESSAGE_CHARACTERS = 600

TIMEOUT = 30.0
"""Timeout of reading a history in seconds; commits that were not read by then are left out."""


@dataclass(frozen=True, slots=True)
class PastCommit:
    """One commit: its id, the start of its message, and the paths that it changed (at most `MOST_PATHS`)."""

    commit: str
    message: str
    paths: tuple[str, ...]


def read_history(
    repository: Repository, commit: str, limit: int = MOST_COMMITS, *, exclude: str | None = None
) -> list[PastCommit]:
    """The last `limit` commits up to `commit`, newest first, without merges, commits with more than `MOST_PATHS` paths,
    and those reachable from `exclude`. Older ones are left out when reading exceeds `TIMEOUT`."""
    found = []
    for made in repository.log(commit, limit=limit, exclude=exclude, most_paths=MOST_PATHS, patience=TIMEOUT):
        paths = tuple(path for path in made.paths if path.isprintable())
        if 0 < len(paths) <= MOST_PATHS:
            message = made.message.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
            found.append(PastCommit(made.id, message.strip()[:MESSAGE_CHARACTERS], paths))
    return found


class PastCommits:
    """The history of one version, newest first, with lookup tables that are computed once."""

    def __init__(self, commits: Sequence[PastCommit] = ()) -> None:
        self.commits = tuple(commits)

    def __len__(self) -> int:
        return len(self.commits)

    @cached_property
    def postings(self) -> Mapping[str, tuple[Numbers, Numbers]]:
        """Term -> the commits whose messages contain it, ascending, and the number of occurrences in each."""
        held: dict[str, list[tuple[int, int]]] = {}
        for number, commit in enumerate(self.commits):
            for term, count in terms.query_terms(commit.message).items():
                held.setdefault(term, []).append((number, count))
        columns = {term: np.array(hits, dtype=np.int64).T for term, hits in held.items()}
        return {term: (commits, counts) for term, (commits, counts) in columns.items()}

    @cached_property
    def lengths(self) -> Numbers:
        """The number of terms of each message."""
        lengths = np.zeros(len(self.commits), dtype=np.int64)
        for commits, counts in self.postings.values():
            lengths[commits] += counts
        return lengths

    @cached_property
    def by_path(self) -> Mapping[str, list[int]]:
        """Path -> the commits that changed it, newest first."""
        changed: dict[str, list[int]] = {}
        for number, commit in enumerate(self.commits):
            for path in commit.paths:
                changed.setdefault(path, []).append(number)
        return changed
