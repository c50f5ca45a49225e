"""What earlier commits changed, as evidence of where the next change may be.

`read_history` takes it from git, `PastCommits` is what ranking asks: which commits were about the same
things, and which files change together.
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
"""How far back the history of an index reaches."""

MOST_PATHS = 30
"""A commit that changed more files than this says little of any of them, and is left out."""

MESSAGE_CHARACTERS = 600

PATIENCE = 30.0
"""Seconds that reading a history may take; commits that are older than what was read by then are left out."""


@dataclass(frozen=True, slots=True)
class PastCommit:
    """One commit: its id, the beginning of its message, and the paths that it changed (at most `MOST_PATHS`)."""

    commit: str
    message: str
    paths: tuple[str, ...]


def read_history(
    repository: Repository, commit: str, limit: int = MOST_COMMITS, *, exclude: str | None = None
) -> list[PastCommit]:
    """The commits before and at `commit`, newest first, without merges and without very wide ones.

    Those that `exclude` can reach are left out, and old ones where reading takes longer than `PATIENCE`.
    """
    found = []
    for made in repository.log(commit, limit=limit, exclude=exclude, most_paths=MOST_PATHS, patience=PATIENCE):
        paths = tuple(path for path in made.paths if path.isprintable())
        if 0 < len(paths) <= MOST_PATHS:
            message = made.message.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
            found.append(PastCommit(made.id, message.strip()[:MESSAGE_CHARACTERS], paths))
    return found


class PastCommits:
    """The history of one version, newest first, with what is looked up in it made once."""

    def __init__(self, commits: Sequence[PastCommit] = ()) -> None:
        self.commits = tuple(commits)

    def __len__(self) -> int:
        return len(self.commits)

    @cached_property
    def postings(self) -> Mapping[str, tuple[Numbers, Numbers]]:
        """Term -> the commits whose messages hold it, ascending, and how often each does."""
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
