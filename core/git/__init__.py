"""Git for repositories that may be hostile: reading, exporting, mirroring, and committing a patch to a branch.

Nothing in this package runs a program named by a repository (hooks, filters, fsmonitor, external diff, helpers),
and nothing touches a user's work tree, index or HEAD.
"""

from core.git.command import GitError, GitTimeout
from core.git.credentials import Credential, drop_credential, find_credential, keep_credential, split_credential
from core.git.export import Export
from core.git.mirror import (
    AccessRefused,
    Mirror,
    check_url,
    confine,
    fetch_mirror,
    is_url,
    redact,
    redact_location,
    remove_if_damaged,
)
from core.git.names import is_repository
from core.git.push import PushRejected, Remote
from core.git.records import Change, Commit, Entry, Status
from core.git.repository import Repository
from core.git.signing import SigningFailed, SigningKey

__all__ = [
    "AccessRefused",
    "Change",
    "Commit",
    "Credential",
    "Entry",
    "Export",
    "GitError",
    "GitTimeout",
    "Mirror",
    "PushRejected",
    "Remote",
    "Repository",
    "SigningFailed",
    "SigningKey",
    "Status",
    "check_url",
    "confine",
    "drop_credential",
    "fetch_mirror",
    "find_credential",
    "is_repository",
    "is_url",
    "keep_credential",
    "redact",
    "redact_location",
    "remove_if_damaged",
    "split_credential",
]
