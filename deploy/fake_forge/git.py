"""The bare repositories behind the fake forge: reading and merging with git, and git's own `http-backend`."""

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.fake_forge.records import Changes, NotFound

SECONDS = 120
_WHO = {
    "GIT_AUTHOR_NAME": "Fake forge",
    "GIT_AUTHOR_EMAIL": "forge@penstock.invalid",
    "GIT_COMMITTER_NAME": "Fake forge",
    "GIT_COMMITTER_EMAIL": "forge@penstock.invalid",
}


def _environment() -> dict[str, str]:
    """Nothing of the user's own configuration of git."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_TERMINAL_PROMPT": "0",
    }


def run(folder: Path, *arguments: str, allowed: Iterable[int] = (0,)) -> tuple[int, bytes]:
    """Exit code and output. Raises `CalledProcessError` for a code that is not `allowed`."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        env=_environment() | _WHO,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode not in tuple(allowed):
        raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
    return done.returncode, done.stdout


def text(folder: Path, *arguments: str) -> str:
    return run(folder, *arguments)[1].decode("utf-8", "replace").strip()


def create(path: Path, default_branch: str, seed: Path | None) -> None:
    """Makes a bare repository that may be pushed to; one that exists is kept as it is. Of a seed that is a repository
    its branches are taken, of any other folder its files as one commit."""
    if (path / "HEAD").is_file():
        return
    path.mkdir(parents=True)
    text(path, "init", "--quiet", "--bare", "--template=", f"--initial-branch={default_branch}")
    for name, value in (("http.receivepack", "true"), ("receive.autogc", "false"), ("gc.auto", "0")):
        text(path, "config", name, value)
    if seed is None:
        return
    if (seed / ".git").exists() or (seed / "HEAD").is_file():
        text(path, "fetch", "--quiet", str(seed.absolute()), "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        return
    tree_of = ["--git-dir", str(path.absolute()), "--work-tree", str(seed.absolute())]
    text(seed, *tree_of, "add", "--all", ".")
    text(seed, *tree_of, "commit", "--quiet", "--allow-empty", "--message", "Import")


def branches(path: Path) -> dict[str, str]:
    """Branch to commit."""
    lines = text(path, "for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads").splitlines()
    return {name: commit for commit, name in (line.split(" ", 1) for line in lines)}


def branch(path: Path, name: str) -> str | None:
    """The commit of the branch of exactly that name, or None."""
    if "\0" in name:
        return None
    code, output = run(path, "show-ref", "--verify", "--hash", f"refs/heads/{name}", allowed=(0, 1, 128))
    return output.decode().strip() if code == 0 else None


def is_ancestor(path: Path, older: str, newer: str) -> bool:
    return run(path, "merge-base", "--is-ancestor", older, newer, allowed=(0, 1, 128))[0] == 0


def merge_base(path: Path, one: str, other: str) -> str:
    """The best common ancestor; "" if the histories are unrelated."""
    return run(path, "merge-base", one, other, allowed=(0, 1))[1].decode().strip()


def changes(path: Path, base: str, head: str) -> Changes:
    """What `head` has that `base` lacks."""
    found = Changes(commits=int(text(path, "rev-list", "--count", f"{base}..{head}")))
    since = merge_base(path, base, head) or base
    for line in text(path, "diff-tree", "-r", "--numstat", since, head).splitlines():
        added, removed, _ = line.split("\t", 2)
        found.files += 1
        found.additions += int(added) if added.isdigit() else 0
        found.deletions += int(removed) if removed.isdigit() else 0
    return found


def merge(path: Path, base: str, head_commit: str, message: str) -> str | None:
    """Merges a commit into a branch and returns the merge commit; None on a conflict. Needs git 2.38."""
    old = text(path, "rev-parse", f"refs/heads/{base}")
    code, output = run(path, "merge-tree", "--write-tree", old, head_commit, allowed=(0, 1))
    if code == 1:
        return None
    tree = output.decode().split()[0]
    commit = text(path, "commit-tree", tree, "-p", old, "-p", head_commit, "-m", message)
    text(path, "update-ref", f"refs/heads/{base}", commit, old)
    return commit


@dataclass(frozen=True)
class Commit:
    sha: str
    tree: str
    parents: list[str]
    author: str
    email: str
    date: str
    """Of the commit, ISO 8601."""
    message: str


def commit(path: Path, sha: str) -> Commit:
    raw = text(path, "log", "-1", "--no-show-signature", "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%cI%x00%B", sha)
    found, tree, parents, author, email, date, message = raw.split("\0")
    return Commit(found, tree, parents.split(), author, email, date, message.strip())


@dataclass(frozen=True)
class Entry:
    """A file or folder of a commit. `kind` is git's: `blob`, `tree` or `commit`."""

    path: str
    kind: str
    sha: str
    size: int
    data: bytes = b""


def entries(path: Path, ref: str, place: str) -> tuple[Entry | None, list[Entry]]:
    """The file at `place` with its content, or None and the entries of that folder. Raises `NotFound`."""
    place = place.strip("/")
    if "\0" in ref + place:
        raise NotFound(place)
    code, raw = run(path, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", allowed=(0, 1, 128))
    if code or ref.startswith("-") or any(part in ("..", "") for part in place.split("/") if place):
        raise NotFound(place)
    root = raw.decode().strip()
    if place:
        exact = _listed(path, "--", root, place)
        if not exact:
            raise NotFound(place)
        if exact[0].kind == "blob":
            data = run(path, "cat-file", "blob", exact[0].sha)[1]
            return Entry(place, "blob", exact[0].sha, len(data), data), []
        return None, _listed(path, "--", root, f"{place}/")
    return None, _listed(path, "--", root)


def _listed(path: Path, *arguments: str) -> list[Entry]:
    _, root, *places = arguments
    code, raw = run(path, "--literal-pathspecs", "ls-tree", "-z", "--long", root, "--", *places, allowed=(0, 128))
    found = []
    for line in raw.decode("utf-8", "replace").split("\0") if code == 0 else []:
        if line:
            facts, name = line.split("\t", 1)
            _, kind, sha, size = facts.split()
            found.append(Entry(name, kind, sha, int(size) if size.isdigit() else 0))
    return found


def http_backend(
    root: Path, method: str, path: str, query: str, headers: dict[str, str], body: bytes, user: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of git's smart HTTP for the repositories below `root`. `headers` have lower-case names;
    `user` is "" for an anonymous client."""
    environment = _environment() | {
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }
    if user:
        environment |= {"REMOTE_USER": user, "GIT_COMMITTER_NAME": user, "GIT_COMMITTER_EMAIL": f"{user}@localhost"}
    done = subprocess.run(
        ["git", "http-backend"], input=body, capture_output=True, env=environment, timeout=SECONDS, check=False
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    answer = dict(line.decode("latin-1").split(": ", 1) for line in head.split(b"\r\n") if b": " in line)
    if not answer:
        return 500, {"Content-Type": "text/plain"}, b"git http-backend failed: " + done.stderr[-500:]
    return int(answer.pop("Status", "200").split()[0]), answer, content
