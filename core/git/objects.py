"""Reads what a repository holds: refs, trees, blobs and the differences between commits.

Object ids are full hexadecimal strings; paths are `str` with undecodable bytes as surrogate escapes
(`os.fsdecode`). Not for history, exports, patches and work trees: `core.git.repository` adds those.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from core.git import command
from core.git.command import GitError
from core.git.names import check_object_id, check_ref, find_git_dir
from core.git.records import Change, Entry

_ARGUMENTS = 30_000
"""Most characters of paths in one command line: what every system allows, with room for the rest."""


class ObjectStore:
    """The repository at `path`: a work tree's top folder or a bare repository."""

    def __init__(self, path: Path | str) -> None:
        """Raises `GitError` when `path` itself is not a repository."""
        self.path = Path(path).absolute()
        try:
            git_dir = find_git_dir(self.path)
        except OSError as error:
            raise GitError(f"cannot read {self.path}: {error.strerror}") from error
        if git_dir is None:
            raise GitError(f"{self.path} is not a git repository (the top folder of one, or a bare one)")
        self.git_dir = git_dir

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def git(
        self,
        *arguments: str,
        purpose: str,
        env: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
        data: bytes = b"",
        timeout: float = command.TIMEOUT,
        accept: tuple[int, ...] = (0,),
    ) -> tuple[int, bytes]:
        """Runs a plumbing command in this repository, with more variables and settings; see `core.git.command.run`."""
        return command.run(
            arguments,
            purpose=purpose,
            where=self.path,
            git_dir=self.git_dir,
            env=command.with_config(command.environment(extra=env), config or {}),
            data=data,
            timeout=timeout,
            accept=accept,
        )

    def folders(self) -> tuple[Path, Path]:
        """The resolved git folder, and the one that a linked work tree shares with others (else the same)."""
        options = ("--absolute-git-dir", "--git-common-dir")  # one by one, since a path may hold a line break
        own, common = (
            os.fsdecode(self.git("rev-parse", name, purpose="finding the git folder")[1].removesuffix(b"\n"))
            for name in options
        )
        return Path(own).resolve(), (Path("/") / common).resolve()

    def find(self, ref: str) -> str | None:
        """The commit that `ref` names, or None."""
        status, output = self.git(
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            f"{check_ref(ref)}^{{commit}}",
            purpose=f"looking up {ref!r}",
            accept=(0, 1, 128),
        )
        found = output.decode().strip()
        return found if status == 0 and re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", found) else None

    def resolve(self, ref: str) -> str:
        """The full id of the commit that `ref` (branch, tag, commit id, HEAD) names. Raises `GitError`."""
        found = self.find(ref)
        if found is None:
            raise GitError(f"{self.path} has no commit {ref!r}" + (": it has no commits yet" if self.empty() else ""))
        return found

    def branch(self) -> str:
        """The branch that `HEAD` names; empty when it is detached."""
        _, output = self.git("symbolic-ref", "--quiet", "--short", "HEAD", purpose="reading HEAD", accept=(0, 1))
        return os.fsdecode(output).strip()

    def nearest_tag(self, commit: str) -> str:
        """The newest tag that is reachable from a commit; empty when there is none."""
        status, output = self.git("describe", "--tags", "--abbrev=0", "--end-of-options", check_object_id(commit),
                                  purpose="looking for a tag", accept=(0, 128))  # fmt: skip
        return os.fsdecode(output).strip() if status == 0 else ""

    def committed(self, commit: str) -> str:
        """When a commit was made, in UTC as RFC 3339."""
        _, output = self.git("log", "-1", "--no-show-signature", "--format=%ct", "--end-of-options",
                             check_object_id(commit), purpose="reading a commit's time")  # fmt: skip
        return datetime.fromtimestamp(int(output.split()[0]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def empty(self) -> bool:
        """Whether no branch has a commit."""
        _, output = self.git("for-each-ref", "--count=1", "--format=%(objectname)", purpose="listing refs")
        return not output.strip() and self.find("HEAD") is None

    def branch_commit(self, branch: str) -> str | None:
        """The commit at the head of a local branch, or None when there is no such branch."""
        return self.find(f"refs/heads/{check_ref(branch)}")

    def people(self, ref: str, *, exclude: str, limit: int) -> list[tuple[str, str]]:
        """Author and committer, as `Name <address>`, of at most `limit` commits reachable from `ref` and not from
        `exclude`, newest first."""
        _, output = self.git(
            "log",
            "-z",
            "--no-mailmap",
            "--no-show-signature",
            f"--max-count={int(limit)}",
            "--format=%an <%ae>%n%cn <%ce>",
            "--end-of-options",
            check_ref(ref),
            f"^{check_ref(exclude)}",
            purpose=f"reading who wrote {ref[:80]!r}",
        )
        records = output.decode(errors="replace").split("\0")
        return [(author, committer) for author, _, committer in (r.partition("\n") for r in records if r.strip())]

    def first_parents(self, commit: str, limit: int) -> list[str]:
        """The first parent of a commit, that one's first parent, and so on, at most `limit`. Raises `GitError`."""
        _, output = self.git(
            "rev-list",
            "--first-parent",
            f"--max-count={int(limit) + 1}",
            "--end-of-options",
            check_object_id(commit),
            purpose=f"reading what came before {commit[:12]}",
        )
        return [check_object_id(line) for line in output.decode().split()[1:]]

    def ls_tree(self, commit: str) -> list[Entry]:
        """Every file, symlink and submodule of a commit, in git's order. Raises `GitError`."""
        _, output = self.git(
            "ls-tree", "-r", "-z", "-l", "--full-tree", check_ref(commit), purpose=f"listing the files of {commit[:12]}"
        )
        entries = []
        for line in output.split(b"\0")[:-1]:
            meta, _, path = line.partition(b"\t")
            mode, _, blob, size = meta.decode().split()
            if size == "BAD":
                raise GitError(f"{self.path} lacks the content of {os.fsdecode(path)}: it is damaged or a partial "
                               "clone; fetch what is missing, or clone it again")  # fmt: skip
            entries.append(Entry(mode, blob, 0 if size == "-" else int(size), os.fsdecode(path)))
        return entries

    def read_blobs(self, ids: Iterable[str], *, timeout: float = 300.0) -> Iterator[tuple[str, bytes]]:
        """Yields (id, content) in the order of `ids`, through one process. Raises `GitError` for a missing object."""
        wanted = [check_object_id(blob) for blob in ids]
        if not wanted:
            return
        with command.stream(
            ["cat-file", "--batch", "--buffer"],
            purpose="reading files",
            where=self.path,
            git_dir=self.git_dir,
            data="".join(f"{blob}\n" for blob in wanted).encode(),
            timeout=timeout,
        ) as output:
            for blob in wanted:
                header = output.readline().split()
                if len(header) != 3:
                    raise GitError(f"reading files in {self.path}: object {blob} is missing")
                content = output.read(int(header[2]))
                if len(content) != int(header[2]) or output.read(1) != b"\n":
                    raise GitError(f"reading files in {self.path}: object {blob} is cut short")
                yield blob, content

    def sizes(self, ids: Iterable[str]) -> dict[str, int]:
        """The size in bytes of each of these objects. Raises `GitError` for a missing one."""
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        _, output = self.git(
            "cat-file",
            "--batch-check=%(objectname) %(objectsize)",
            "--buffer",
            purpose="measuring files",
            data="".join(f"{check_object_id(blob)}\n" for blob in wanted).encode(),
        )
        found = {}
        for line in output.decode().splitlines():
            identity, _, size = line.partition(" ")
            if not size.isdigit():
                raise GitError(f"measuring files in {self.path}: object {identity} is missing")
            found[identity] = int(size)
        return found

    def paths(self, commit: str) -> list[str]:
        """The path of every file, symlink and submodule of a commit, in git's order. Raises `GitError`."""
        _, output = self.git(
            "ls-tree",
            "-r",
            "-z",
            "--name-only",
            "--full-tree",
            check_ref(commit),
            purpose=f"listing the paths of {commit[:12]}",
        )
        return os.fsdecode(output).split("\0")[:-1]

    def regular_files(self, commit: str, paths: Iterable[str]) -> list[Entry]:
        """Which of these paths are regular files in a commit. Raises `GitError`."""
        found: list[Entry] = []
        for some in _in_parts(paths):
            _, output = self.git(
                "--literal-pathspecs",
                "ls-tree",
                "-z",
                "-l",
                "--full-tree",
                check_ref(commit),
                "--",
                *some,
                purpose=f"looking for files of {commit[:12]}",
            )
            listed = re.findall(rb"(100\d{3}) blob ([0-9a-f]+) +(\d+)\t([^\0]+)\0", output)
            found += [
                Entry(mode.decode(), blob.decode(), int(size), os.fsdecode(path)) for mode, blob, size, path in listed
            ]
        return found

    def read_file(self, commit: str, path: str, *, limit: int = 1 << 20) -> bytes | None:
        """The content of one regular file of a commit; None when it is missing, not regular or over `limit` bytes."""
        found = [entry for entry in self.regular_files(commit, [path]) if entry.size <= limit]
        return next((content for _, content in self.read_blobs([entry.blob for entry in found])), None)

    def diff_names(self, before: str, after: str, *, renames: bool = True) -> list[Change]:
        """The paths that differ between two commits; with `renames`, git detects renames by similarity."""
        _, output = self.git(
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-abbrev",
            "--no-ext-diff",
            "--no-textconv",
            "--ignore-submodules=none",
            *(("-M", "-l1000") if renames else ("--no-renames",)),
            check_ref(before),
            check_ref(after),
            "--",
            purpose=f"comparing {before[:12]} with {after[:12]}",
        )
        changes = []
        fields = iter(output.split(b"\0")[:-1])
        for meta in fields:
            _, mode, _, blob, status = meta.decode().split()
            old = new = os.fsdecode(next(fields))
            if status[0] in "RC":
                new = os.fsdecode(next(fields))
            changes.append(Change(status[0], new, old, mode, blob))
        return changes

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` can reach `older`; false when either does not exist."""
        if self.find(older) is None or self.find(newer) is None:
            return False
        status, _ = self.git(
            "merge-base",
            "--is-ancestor",
            check_ref(older),
            check_ref(newer),
            purpose=f"comparing {older!r} with {newer!r}",
            accept=(0, 1),
        )
        return status == 0


def _in_parts(paths: Iterable[str]) -> Iterator[list[str]]:
    """The paths in lists that a command line can hold."""
    part: list[str] = []
    size = 0
    for path in paths:
        if part and size + len(path) > _ARGUMENTS:
            yield part
            part, size = [], 0
        part.append(path)
        size += len(path) + 1
    if part:
        yield part
