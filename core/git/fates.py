"""What became of a patch that was published: whether a branch's history took it, as it was or changed, or reverted it.

A merge, a rebase and a squash all count. Works on the history alone, so it needs no forge.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from core.git.objects import ObjectStore

MOST_COMMITS = 2_000
"""The newest commits since the base that are looked at."""
_DIFF_BYTES = 32 << 20
_RECORD = "%x01%H%x00%P%x00%B%x02"


class Fate(StrEnum):
    """`open`: the branch's history does not have it; `closed`: nor will it, since its pull request was closed."""

    OPEN = "open"
    CLOSED = "closed"
    UNCHANGED = "merged unchanged"
    CHANGED = "merged changed"
    REVERTED = "reverted"


@dataclass(frozen=True, slots=True)
class Found:
    """`commit` is the one that decides: it brought the patch, changed it on its way, or reverted it."""

    fate: Fate
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class _Commit:
    id: str
    parents: tuple[str, ...]
    message: str


def fate_of(repository: ObjectStore, *, base: str, head: str, diff: str, marks: tuple[str, ...]) -> Found:
    """The fate of `diff`, a patch on commit `base`, in the history of `head`. `marks` are lines of its commit message
    that no other commit has. Raises `GitError`."""
    history = _history(repository, base, head)
    if not history:
        return Found(Fate.OPEN)
    own, undone = _patch_id(repository, diff), _patch_id(repository, _reversed(diff))
    same = _patch_ids(repository, base, head, _paths(diff))
    marked = [c for c in history if any(mark in c.message.splitlines() for mark in marks)]
    equal = [c for c in history if own is not None and same.get(c.id) == own]
    took = (marked or equal)[-1:]
    if not took:
        return Found(Fate.OPEN)
    if reverting := _reverting(history, [*marked, *equal, *_merges_of(history, took[0])], same, undone):
        return Found(Fate.REVERTED, reverting.id)
    if took[0] not in equal and own is not None and (took[0].id in same or len(took[0].parents) == 1):
        return Found(Fate.CHANGED, took[0].id)
    followers = _followers(history, took[0], same)
    return Found(Fate.CHANGED, followers[0].id) if followers else Found(Fate.UNCHANGED, took[0].id)


def _history(repository: ObjectStore, base: str, head: str) -> list[_Commit]:
    """The commits that `head` has and `base` lacks, newest first."""
    _, out = repository.git(
        "log", f"--max-count={MOST_COMMITS}", f"--format={_RECORD}", head, f"^{base}", "--",
        purpose="reading what became of a patch",
    )  # fmt: skip
    found = []
    for record in re.findall(r"\x01(.*?)\x02", out.decode("utf-8", "replace"), re.DOTALL):
        commit, parents, message = record.split("\0", 2)
        found.append(_Commit(commit, tuple(parents.split()), message))
    return found


def _patch_ids(repository: ObjectStore, base: str, head: str, paths: list[str]) -> dict[str, str]:
    """The patch ids of the commits that change one of the paths, by commit."""
    _, out = repository.git(
        "log", f"--max-count={MOST_COMMITS}", "--no-merges", "--full-diff", "--patch", "--no-ext-diff", "--no-textconv",
        "--no-renames", "--no-color", "--format=commit %H", head, f"^{base}", "--", *(f":(literal){p}" for p in paths),
        purpose="comparing commits with a patch",
    )  # fmt: skip
    return {commit: patch for patch, commit in _ids(repository, out[:_DIFF_BYTES])}


def _patch_id(repository: ObjectStore, diff: str) -> str | None:
    found = _ids(repository, diff.encode("utf-8", "surrogateescape"))
    return found[0][0] if found else None


def _ids(repository: ObjectStore, text: bytes) -> list[tuple[str, str]]:
    _, out = repository.git("patch-id", "--stable", purpose="comparing patches", data=text)
    return [(patch, commit) for patch, commit in (line.split() for line in out.decode().splitlines() if " " in line)]


def _reversed(diff: str) -> str:
    """The diff that undoes this one, as far as patch ids are concerned: removed and added lines change places."""
    swapped = []
    removed: list[str] = []
    added: list[str] = []
    for line in [*diff.split("\n"), ""]:
        if line.startswith("-") and not line.startswith("--- "):
            added.append("+" + line[1:])
        elif line.startswith("+") and not line.startswith("+++ "):
            removed.append("-" + line[1:])
        else:
            swapped += [*removed, *added, line]
            removed, added = [], []
    return "\n".join(swapped[:-1])


def _paths(diff: str) -> list[str]:
    return sorted(set(re.findall(r"^(?:---|\+\+\+) [ab]/([^\t\n]+)", diff, re.MULTILINE)))


def _merges_of(history: list[_Commit], commit: _Commit) -> list[_Commit]:
    """Merge commits that brought the commit by another parent than the first."""
    return [merge for merge in history if len(merge.parents) > 1 and commit in _brought_by(history, merge)]


def _brought_by(history: list[_Commit], merge: _Commit) -> list[_Commit]:
    """The commits that a merge's other parents have and its first lacks, as far as the history shows."""
    known = {commit.id: commit for commit in history}
    trunk = _reachable(known, merge.parents[:1])
    return [known[i] for i in _reachable(known, merge.parents[1:]) if i not in trunk]


def _reachable(known: dict[str, _Commit], starts: tuple[str, ...]) -> dict[str, None]:
    found: dict[str, None] = {}
    waiting = list(starts)
    while waiting:
        commit = waiting.pop()
        if commit in known and commit not in found:
            found[commit] = None
            waiting.extend(known[commit].parents)
    return found


def _followers(history: list[_Commit], took: _Commit, touching: dict[str, str]) -> list[_Commit]:
    """Commits on top of the patch that came with the same merge and change the same files."""
    for merge in reversed(_merges_of(history, took)):
        known = {commit.id: commit for commit in history}
        above = [c for c in _brought_by(history, merge) if c is not took and took.id in _reachable(known, (c.id,))]
        return [c for c in above if c.id in touching]
    return []


def _reverting(
    history: list[_Commit], targets: list[_Commit], same: dict[str, str], undone: str | None
) -> _Commit | None:
    """The commit that undoes the patch, unless its effect was itself reverted later."""
    ids = {commit.id for commit in targets}
    oldest = max((history.index(commit) for commit in targets), default=-1)
    for position, commit in enumerate(history):
        named = set(re.findall(r"This reverts commit ([0-9a-f]{40,64})", commit.message))
        if position < oldest and (named & ids or (undone is not None and same.get(commit.id) == undone)):
            again = any(f"This reverts commit {commit.id}" in later.message for later in history[:position])
            if not again:
                return commit
    return None
