"""Applies a unified diff to a commit in a temporary index, and commits the result to a branch.

Called through `Repository.commit_patch`.
"""

import tempfile
from datetime import datetime
from pathlib import Path

from core.git.command import GitError, GitTimeout
from core.git.objects import ObjectStore
from core.git.signing import SigningKey, find_same, write
from core.source_encoding import encode_diff

DIFF_LIMIT = 16 << 20
"""Longest diff that is accepted, in bytes."""


def _apply(repository: ObjectStore, base: str, diff: str, index: Path) -> str | None:
    """Applies the diff in the file `index`. Returns why it does not apply, or None."""
    content = encode_diff(diff, lambda path: _blob(repository, base, path))
    if not content.strip():
        return "the patch is empty"
    if len(content) > DIFF_LIMIT:
        return f"the patch is longer than {DIFF_LIMIT} bytes"
    env = {"GIT_INDEX_FILE": str(index)}
    repository.git("read-tree", base, purpose=f"reading {base[:12]}", env=env)
    try:
        repository.git(
            "apply",
            "--cached",
            "--whitespace=nowarn",
            "-",
            purpose="applying a patch",
            env=env,
            data=content,
        )
    except GitTimeout:
        raise
    except GitError as error:
        if not error.said:
            raise
        return error.said
    return None


def _blob(repository: ObjectStore, base: str, path: str) -> bytes | None:
    """A file's content in a commit; None when it has no such file."""
    try:
        _, content = repository.git("cat-file", "blob", f"{base}:{path}", purpose=f"reading {path}")
    except GitTimeout:
        raise
    except GitError:
        return None
    return content


def commit(
    repository: ObjectStore,
    base: str,
    diff: str,
    branch: str,
    message: str,
    author: tuple[str, str],
    when: datetime,
    key: SigningKey | None = None,
) -> str:
    """See `Repository.commit_patch`."""
    name, email = (part.strip() for part in author)
    if not name or not email or any(letter in name + email for letter in "<>\n\0"):
        raise GitError(f"{name!r} <{email!r}> cannot be an author")
    if "\0" in message or not message.strip():
        raise GitError("a commit needs a message without NUL characters")
    if when.tzinfo is None:
        raise GitError("a commit's time needs a time zone")
    date = f"{int(when.timestamp())} +0000"
    identity = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", name), ("EMAIL", email), ("DATE", date))
    }
    with tempfile.TemporaryDirectory(prefix="penstock-index-") as folder:
        index = Path(folder) / "index"
        if reason := _apply(repository, base, diff, index):
            raise GitError(f"the patch does not apply to {base[:12]} in {repository.path}: {reason}")
        _, output = repository.git("write-tree", purpose="writing a tree", env={"GIT_INDEX_FILE": str(index)})
        tree = output.decode().strip()
    _, output = repository.git("rev-parse", "--verify", f"{base}^{{tree}}", purpose="reading a tree")
    if output.decode().strip() == tree:
        raise GitError(f"the patch changes nothing in {base[:12]}")
    made = write(repository, ["-p", base, tree], message.encode("utf-8", "replace"), identity, key)
    existing = repository.branch_commit(branch)
    if existing is not None:
        if find_same(repository, made, existing):
            return existing
        raise GitError(
            f"branch {branch!r} in {repository.path} already points to {existing[:12]}: delete it or choose another"
        )
    try:
        repository.git(
            "update-ref",
            "-m",
            "penstock: commit a patch",
            f"refs/heads/{branch}",
            made,
            "0" * len(made),
            purpose=f"creating branch {branch!r}",
            env=identity,
        )
    except GitError:
        existing = repository.branch_commit(branch)  # another process may have just written the same commit
        if existing is None or not find_same(repository, made, existing):
            raise
        return existing
    return made
