"""The local forge: a branch with one commit, or a report, in a repository on this machine.

The work tree, the index and HEAD of that repository are never touched. A report without a patch is
stored as `report.md` under `refs/penstock/reports/`, so it shows in no branch list and needs no server.
"""

from pathlib import Path

from core.forge.conventions import PLAIN, Conventions
from core.forge.protocol import ForgeUnavailable, Publication, PublicationRefused, permit
from core.git import GitError, GitTimeout, Repository, SigningFailed
from core.git.signing import write


class LocalGit:
    """Publishes into the repository at `path`; `source` is the name of the source it belongs to."""

    def __init__(self, path: Path, source: str, conventions: Conventions = PLAIN) -> None:
        self._path = path
        self._source = source
        self._conventions = conventions

    @property
    def target(self) -> str:
        return f"git:{self._source}"

    def publish(self, publication: Publication) -> str:
        """Makes the branch, and returns `<path>#<branch>@<commit>`."""
        patch = permit(publication)
        repository = self._open()
        message, author = self._conventions.message(publication.message), self._conventions.author
        try:
            commit = repository.commit_patch(
                patch.base_commit,
                patch.diff,
                publication.branch,
                message,
                author,
                publication.when,
                self._conventions.key,
            )
        except (GitTimeout, SigningFailed) as error:
            raise ForgeUnavailable(str(error)) from error
        except GitError as error:
            raise PublicationRefused(str(error)) from error
        return f"{self._path}#{publication.branch}@{commit}"

    def comment(self, publication: Publication) -> str:
        """Stores the report, and returns what `git show` takes to print it."""
        ref = f"refs/penstock/reports/{publication.task_id}-{publication.attempt}"
        repository = self._open()
        author = self._conventions.author
        date = f"{int(publication.when.timestamp())} +0000"
        identity = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", author[0]), ("EMAIL", author[1]), ("DATE", date))
        }
        try:
            _, blob = repository.git(
                "hash-object", "-w", "--stdin", purpose="storing a report", data=publication.report.encode()
            )
            entry = f"100644 blob {blob.decode().strip()}\treport.md\n".encode()
            _, tree = repository.git("mktree", purpose="storing a report", data=entry)
            title = " ".join(publication.title.split())[:200]
            text = f"Report: {title}\n".encode("utf-8", "replace")
            commit = write(repository, [tree.decode().strip()], text, identity, self._conventions.key)
            repository.git("update-ref", ref, commit, purpose="storing a report")
        except (GitTimeout, SigningFailed) as error:
            raise ForgeUnavailable(str(error)) from error
        except GitError as error:
            raise PublicationRefused(str(error)) from error
        return f"{self._path}#{ref}:report.md"

    def _open(self) -> Repository:
        try:
            return Repository(self._path)
        except GitError as error:
            raise ForgeUnavailable(f"{error}; publishing is retried") from error
