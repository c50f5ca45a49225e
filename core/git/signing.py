"""Signs commits with an SSH key, by git and ssh-keygen, and tells commits apart that differ in their signature only.

The key stays in its file: git and ssh-keygen get its path. A repository's own configuration cannot replace the program
or the key. Not for verifying signatures, which forges do.
"""

import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.git import command
from core.git.command import GitError, GitTimeout
from core.git.names import check_object_id
from core.git.objects import ObjectStore

_TIMEOUT = 20.0
_MOST_BYTES = 1 << 20
"""Longer commits are nobody's patch."""
_SIGNATURES = re.compile(rb"^gpgsig(?:-sha256)? .*\n(?: .*\n)*", re.MULTILINE)
_INSTALL = "ssh-keygen is not installed: install it (Debian: apt-get install openssh-client)"


class SigningFailed(GitError):
    """No signature can be made now; the message names the setting and what to do."""


@dataclass(frozen=True)
class SigningKey:
    """An SSH private key without a passphrase in the file `path`, which the setting or file `name` names."""

    path: Path
    name: str

    @property
    def config(self) -> Mapping[str, str]:
        """Git's settings for `commit-tree -S`, all of those that could run another program or take another key."""
        return {
            "gpg.format": "ssh",
            "gpg.ssh.program": "ssh-keygen",
            "gpg.ssh.defaultKeyCommand": "",
            "user.signingKey": str(self.path),
        }

    @property
    def env(self) -> Mapping[str, str]:
        """Variables for the same: an agent that holds the key is not asked."""
        return {"SSH_AUTH_SOCK": ""}

    def require_private(self) -> None:
        """Raises `SigningFailed` unless the file can be read, by nobody but this user, or by a group that root gave it
        (as Kubernetes mounts secrets)."""
        try:
            # Links are followed, since Kubernetes mounts secrets as links. Opening a pipe must not wait for its writer.
            number = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise SigningFailed(f"{self.name}: {self.path} cannot be read ({error.strerror})") from error
        found = os.fstat(number)
        os.close(number)
        if not stat.S_ISREG(found.st_mode):
            raise SigningFailed(f"{self.name}: {self.path} is not a file")
        if found.st_uid not in (os.getuid(), 0):
            raise SigningFailed(f"{self.name}: {self.path} belongs to another user: give Penstock a file of its own")
        others = 0o077 if found.st_uid == os.getuid() else 0o027
        if found.st_mode & others:
            raise SigningFailed(f"{self.name}: {self.path} is open to others: run `chmod 600 {self.path}`")

    def check(self) -> str:
        """Signs a commit in a repository made for this, and returns the public key. Raises `SigningFailed`."""
        self.require_private()
        public = self._public()
        try:
            with tempfile.TemporaryDirectory(prefix="penstock-signing-") as folder:
                where = Path(folder)
                command.run(["init", "-q", "--bare", "--template=", folder], purpose="making a repository", where=where)
                repository = ObjectStore(where)
                _, tree = repository.git("mktree", purpose="writing a tree")
                write(repository, [tree.decode().strip()], b"A test\n", _NOBODY, self)
        except SigningFailed:
            raise
        except GitError as error:
            raise SigningFailed(f"{self.name}: no test could be made: {error}") from error
        return public

    def _public(self) -> str:
        """The public key. Raises `SigningFailed`, with what is wrong with the private one."""
        try:
            done = subprocess.run(
                ["ssh-keygen", "-y", "-P", "", "-f", str(self.path)],
                env=command.environment(extra=self.env),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                cwd="/",
                timeout=_TIMEOUT,
                start_new_session=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise SigningFailed(f"{self.name}: {_INSTALL}") from error
        except subprocess.TimeoutExpired as error:
            raise SigningFailed(f"{self.name}: ssh-keygen did not end in {_TIMEOUT:g} s") from error
        if done.returncode:
            said = " ".join(done.stderr.split())[-300:]
            if "passphrase" in said:
                raise SigningFailed(
                    f"{self.name}: the key in {self.path} has a passphrase, which nobody can type here: "
                    f"make one for Penstock with `ssh-keygen -t ed25519 -N '' -f FILE`"
                )
            raise SigningFailed(f"{self.name}: {self.path} holds no private key that ssh-keygen reads: {said}")
        return " ".join(done.stdout.split()[:2])


_NOBODY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "Penstock"), ("EMAIL", "penstock@localhost"), ("DATE", "@0 +0000"))
}


def write(
    repository: ObjectStore, arguments: list[str], message: bytes, identity: Mapping[str, str], key: SigningKey | None
) -> str:
    """Writes a commit with `git commit-tree ARGUMENTS`, signed if there is a key, and returns its id. Raises
    `GitError`, and `SigningFailed` with a key."""
    if key is None:
        _, output = repository.git("commit-tree", *arguments, purpose="writing a commit", env=identity, data=message)
        return output.decode().strip()
    key.require_private()
    try:
        _, output = repository.git(
            "commit-tree",
            "-S",
            *arguments,
            purpose="writing a signed commit",
            env={**identity, **key.env},
            config=key.config,
            data=message,
        )
    except GitTimeout:
        raise
    except GitError as error:
        said = _INSTALL if "ssh-keygen" in error.said and "cannot run" in error.said else error
        raise SigningFailed(f"{key.name}: {said}") from error
    return output.decode().strip()


def find_same(repository: ObjectStore, commit: str, head: str, *, limit: int = 1) -> str | None:
    """Of the newest `limit` commits of `head`, the one that is `commit`, or differs from it in its signature only; None
    if there is none. Not every key signs the same commit with the same bytes, and keys are replaced.

    Commits reachable from the parent of `commit` are not looked at. Raises `GitError` if one does not exist."""
    if check_object_id(commit) == head:
        return commit
    _, output = repository.git(
        "rev-list",
        f"--max-count={int(limit)}",
        "--end-of-options",
        check_object_id(head),
        f"^{commit}^1",
        purpose=f"looking for {commit[:12]}",
    )
    listed = output.decode().split()
    if commit in listed:
        return commit
    sizes = repository.sizes(listed)
    listed = [name for name in listed if sizes[name] <= _MOST_BYTES]
    [(_, wanted), *found] = repository.read_blobs([commit, *listed])
    return next((name for name, content in found if _unsigned(content) == _unsigned(wanted)), None)


def _unsigned(content: bytes) -> bytes:
    """A commit's content without its signature."""
    head, blank, message = content.partition(b"\n\n")
    return _SIGNATURES.sub(b"", head + b"\n") + blank + message
