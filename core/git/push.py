"""Pushes one branch of Penstock's own to a source. No other ref is ever written, and no commit of a person is lost."""

import re
from dataclasses import dataclass

from core.git import command
from core.git.command import GitError, redact
from core.git.credentials import Credential, split_credential, with_credential
from core.git.mirror import address_of, fetch_branch, locked, run_remote
from core.git.names import check_object_id, check_ref
from core.git.repository import Repository

OWN_BRANCHES = "penstock/"
"""Every branch that is pushed starts with this."""

_FETCHED = "refs/penstock/fetched/"
"""Branches of a source in its mirror, beside those that the mirror follows."""
_LIST_TIMEOUT = 20.0
_PUSH_TIMEOUT = 60.0
_NOT_THERE = "(stale info)"
_PASSING = re.compile(r"failed to update ref|cannot lock|unable to lock|unpack|timed out|internal error", re.IGNORECASE)
"""Rejections by a server that is busy, not by a rule."""


class PushRejected(GitError):
    """The source refuses this push, and would refuse it again: the branch has other commits, or a rule forbids it."""


@dataclass(frozen=True)
class Remote:
    """A source that branches are pushed to. `location` is a URL, `credential` one that may write."""

    location: str
    credential: Credential | None = None

    def head(self, branch: str) -> str | None:
        """The commit that `branch` points to at the source, or None. Raises `GitError`, `AccessRefused`."""
        ref = f"refs/heads/{check_ref(branch)}"
        address, env = self._opened()
        output = run_remote(
            ["ls-remote", "--quiet", "--end-of-options", address, ref],
            purpose=f"looking for branch {branch!r}",
            where=self.location,
            env=env,
            timeout=_LIST_TIMEOUT,
            limit=1 << 20,
        )
        for line in output.decode(errors="replace").splitlines():
            commit, _, name = line.partition("\t")
            if name == ref:
                return check_object_id(commit)
        return None

    def fetch(self, repository: Repository, branch: str) -> str | None:
        """Brings the commits of `branch` into a mirror, and returns its head; None if there is no such branch. Raises
        `GitError`, `AccessRefused`."""
        head = self.head(branch)
        if head is None or repository.find(head) is not None:
            return head
        address, env = self._opened()
        with locked(repository.path):
            fetch_branch(repository, address, branch, f"{_FETCHED}{branch}", where=self.location, env=env)
        return repository.resolve(f"{_FETCHED}{branch}")

    def push(self, repository: Repository, branch: str, commit: str, *, replaces: str | None = None) -> None:
        """Makes `branch` at the source point to `commit`, if it points to `replaces` (None: if it does not exist), or
        to `commit` already. Raises `PushRejected`, `AccessRefused`, and `GitError` when the source is unreachable."""
        if not check_ref(branch).startswith(OWN_BRANCHES):
            raise PushRejected(f"branch {branch!r} is not one of Penstock's own, so it is never pushed")
        ref = f"refs/heads/{branch}"
        address, env = self._opened()
        output = run_remote(
            [
                "push",
                "--porcelain",
                "--no-verify",
                "--no-signed",
                "--recurse-submodules=no",
                f"--force-with-lease={ref}:{check_object_id(replaces) if replaces else ''}",
                "--end-of-options",
                address,
                f"{check_object_id(commit)}:{ref}",
            ],
            purpose=f"pushing branch {branch!r}",
            where=self.location,
            git_dir=repository.git_dir,
            env=env,
            timeout=_PUSH_TIMEOUT,
            limit=1 << 20,
            accept=(0, 1),
        )
        lines = output.decode(errors="replace").splitlines()
        for line in lines:
            flag, _, rest = line.partition("\t")
            if flag == "!" and _NOT_THERE in rest:
                raise PushRejected(
                    f"branch {branch!r} at {redact(self.location)} has commits that are not Penstock's: "
                    "they are left as they are"
                )
            if flag == "!":
                kind = GitError if _PASSING.search(rest) else PushRejected
                raise kind(f"{redact(self.location)} rejects branch {branch!r}: {_reason(rest)}")
        if "Done" not in lines:
            raise GitError(f"pushing branch {branch!r} to {redact(self.location)} did not end")

    def _opened(self) -> tuple[str, dict[str, str]]:
        address, protocol = address_of(self.location, ())
        address, own = split_credential(address)
        return address, with_credential(command.environment(protocol), address, own or self.credential)


def _reason(report: str) -> str:
    found = re.search(r"\[[^\]]*\].*", report)
    return "".join(letter if letter.isprintable() else " " for letter in (found[0] if found else report))[:300]
