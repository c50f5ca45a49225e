"""A git repository on disk, read and committed to without running any program that it names.

Not for transport: `core.git.mirror` fetches.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from core.git import export, log, patches, worktree
from core.git.export import Export
from core.git.names import check_ref
from core.git.objects import ObjectStore
from core.git.records import Commit, Status
from core.git.signing import SigningKey, find_same


class Repository(ObjectStore):
    """The repository at `path`: a work tree's top folder or a bare repository."""

    def log(
        self,
        ref: str,
        *,
        limit: int = 100,
        paths: Iterable[str] = (),
        merges: bool = False,
        exclude: str | None = None,
        most_paths: int | None = None,
        patience: float | None = None,
    ) -> list[Commit]:
        """The newest commits reachable from `ref`, newest first, with the paths that each changed.

        Commits reachable from `exclude` are left out. Of a commit that changed more than `most_paths` paths, the first
        `most_paths` + 1 are returned. After `patience` seconds the older commits are left out; without it, a timeout
        raises `GitTimeout`.
        """
        return log.read(
            self,
            ref,
            limit=limit,
            paths=paths,
            merges=merges,
            exclude=exclude,
            most_paths=most_paths,
            patience=patience,
        )

    def export(self, commit: str, directory: Path) -> Export:
        """Writes a commit's files into the new folder `directory`, byte for byte as they are stored.

        No filter, line-ending change or `export-ignore` applies. A symlink that leads outside becomes a
        regular file holding its target, a submodule an empty folder; both are named in the result.
        Raises `GitError` for a path that may not be written (`..`, `.git`).
        """
        return export.write(self, self.resolve(commit), directory)

    def commit_patch(
        self,
        base_commit: str,
        diff: str,
        branch: str,
        message: str,
        author: tuple[str, str],
        when: datetime,
        key: SigningKey | None = None,
    ) -> str:
        """Commits `diff` on top of `base_commit` as `branch`, signed with `key`, and returns the commit's id.

        Uses a temporary index: work tree, index and HEAD stay unchanged. The same arguments
        give the same commit, so a repeat changes nothing; a commit that is there and differs in its signature only is
        kept. Raises `GitError` when the diff does not apply, changes nothing, or the branch exists and points
        elsewhere, and `SigningFailed`.
        """
        return patches.commit(self, self.resolve(base_commit), diff, check_ref(branch), message, author, when, key)

    def find_same(self, commit: str, head: str, *, limit: int = 1) -> str | None:
        """See `core.git.signing.find_same`."""
        return find_same(self, commit, head, limit=limit)

    def status(self) -> Status:
        """Which paths of the work tree differ from HEAD or are untracked (ignored ones left out)."""
        return worktree.status(self)
