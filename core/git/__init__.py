"""Git for repositories that may be hostile: reading, exporting, mirroring, and committing a patch to a branch.

Nothing here runs a program named by a repository (hooks, filters, fsmonitor, external diff, helpers),
and nothing touches a user's work tree, index or HEAD.
"""

from core.git.command import GitError, GitTimeout
from core.git.mirror import Mirror, confine, fetch_mirror, is_url, redact
from core.git.repository import Change, Commit, Entry, Export, Repository, Status, is_repository

__all__ = [
    "Change",
    "Commit",
    "Entry",
    "Export",
    "GitError",
    "GitTimeout",
    "Mirror",
    "Repository",
    "Status",
    "confine",
    "fetch_mirror",
    "is_repository",
    "is_url",
    "redact",
]
