"""Bare mirrors of configured sources, stored under the platform's home and updated on demand.

Only configured locations are mirrored: a path below an allowed root, or an https or ssh URL. Not for
reading: a mirror is an ordinary `Repository`.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.git import command
from core.git.command import GitError, GitTimeout, redact, redact_location
from core.git.credentials import FILE, Credential, split_credential, with_credential
from core.git.names import check_ref, is_repository
from core.git.repository import Repository

__all__ = [
    "AccessRefused",
    "Mirror",
    "check_url",
    "confine",
    "fetch_mirror",
    "is_url",
    "redact",
    "redact_location",
    "remote_head",
    "remove_if_damaged",
]

FETCH_TIMEOUT = 900.0
_LIST_TIMEOUT = 60.0
_CONFIG = "penstock.gitconfig"


class AccessRefused(GitError):
    """The source requires a credential, or refuses the one that it was given."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """`commit` is the present head of `branch` at the source; `changed` says whether objects were fetched."""

    repository: Repository
    branch: str
    commit: str
    changed: bool


_LOOPBACK = re.compile(r"(?i:http)://(?:[^\s/?#]*@)?(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?(?:/[^\s]*)?")
"""Without encryption, a service is reached on this machine only."""


def is_url(location: str) -> bool:
    """Whether a location is an https or ssh URL (`https://…`, `ssh://…`, `user@host:path`), or http on loopback."""
    return bool(
        re.fullmatch(r"(?i:https|ssh)://(?!-)[^\s/?#][^\s]*", location)
        or _LOOPBACK.fullmatch(location)
        or re.fullmatch(r"[A-Za-z0-9_.][\w.-]*@[A-Za-z0-9][\w.-]*:[^\s:]\S*", location)
    )


def check_url(location: str) -> str:
    """Returns the location if it is an unambiguous https or ssh URL. Raises `GitError`, which shows no part that may be
    a credential."""
    match = re.fullmatch(r"(?i)(https?|ssh)://([^/?#]*)([^?#]*)(.*)", location)
    if not match:
        return location  # user@host:path
    scheme, authority, _, query = match.groups()
    user, _, host = authority.rpartition("@")
    if not re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d{1,5})?", host) or query:
        raise GitError(
            f"{redact_location(re.split('[?#]', location)[0])}: its host is ambiguous. "
            "In a user name or password, write / as %2F, @ as %40, : as %3A, ? as %3F and # as %23; "
            "the URL of a repository has no query or fragment"
        )
    if scheme.lower() == "ssh" and ":" in user:
        raise GitError(f"{redact_location(location)}: ssh accepts no password in a URL: use a key")
    return location


def confine(path: Path | str, roots: Iterable[Path]) -> Path:
    """The resolved path, if it is one of `roots` or below one. Raises `GitError`."""
    if "\0" in str(path):
        raise GitError("a path cannot hold a NUL character")
    resolved = Path(path).expanduser().resolve()
    allowed = [Path(root).resolve() for root in roots]
    if not any(resolved == root or root in resolved.parents for root in allowed):
        listed = ", ".join(str(root) for root in allowed) or "none"
        raise GitError(f"{resolved} is outside the allowed roots ({listed}): set PENSTOCK_ALLOWED_ROOTS to allow it")
    return resolved


def fetch_mirror(
    location: str,
    mirror_path: Path,
    *,
    branch: str | None = None,
    roots: Iterable[Path] = (),
    credential: Credential | None = None,
) -> Mirror:
    """Creates or updates the bare mirror of `location` and returns the head of `branch` (None: the source's default).

    `credential` is for an https location that holds none itself. Concurrent calls for one mirror wait for each
    other; what a killed call leaves, the next one repairs. Raises `GitError` for a location that is not
    allowed, cannot be reached, is empty or lacks the branch, and `AccessRefused`.
    """
    address, protocols = address_of(location, tuple(roots))
    address, own = split_credential(address)
    mirror_path = mirror_path.absolute()
    mirror_path.parent.mkdir(parents=True, exist_ok=True)
    with locked(mirror_path):
        repository = _ensure(mirror_path)
        env = command.environment(protocols, {"GIT_CONFIG_GLOBAL": str(mirror_path / _CONFIG)})
        env = with_credential(env, address, own or credential)
        name, commit = remote_head(address, branch, env=env)
        ref = f"refs/heads/{name}"
        changed = repository.find(commit) is None
        if changed:
            _remove_stale_locks(mirror_path)
            if _object_format(repository) != (wanted := "sha256" if len(commit) == 64 else "sha1"):
                shutil.rmtree(mirror_path)  # the source was replaced by one with other ids
                repository = _ensure(mirror_path, wanted)
            _make_way(repository, ref)
            fetch_branch(repository, address, name, ref, where=location, env=env)
            commit = repository.resolve(ref)
        elif repository.branch_commit(name) != commit:
            _remove_stale_locks(mirror_path)
            _make_way(repository, ref)
            repository.git("update-ref", ref, commit, purpose=f"moving branch {name!r}")
    return Mirror(repository, name, commit, changed)


def fetch_branch(
    repository: Repository, address: str, branch: str, into: str, *, where: str, env: dict[str, str]
) -> None:
    """Makes the ref `into` of a mirror, which the caller has locked, the head of a branch at a checked address."""
    run_remote(
        [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--update-shallow",  # a source may be a shallow clone
            "--force",
            "--end-of-options",
            address,
            f"+refs/heads/{branch}:{into}",
        ],
        purpose=f"fetching branch {branch!r}",
        where=where,
        git_dir=repository.git_dir,
        env=env,
        timeout=FETCH_TIMEOUT,
    )


_DAMAGED = re.compile(
    r"object [0-9a-f]{40,64} is (?:missing|cut short)|bad (?:object|tree object)|bad pack|corrupt|packfile|index-pack"
    r"|missing (?:blob|tree|commit|object)|not a tree object|did not send all necessary objects|inflate"
    r"|bad shallow line|(?:could not|unable to|failed to) (?:read|parse) (?:tree|object|blob|commit|[0-9a-f]{40})",
    re.IGNORECASE,
)

# Faults of a mirror's own files. A source may have them too, so the message must also name the mirror.
_DAMAGED_FILES = re.compile(
    r"bad config|not a git repository|(?:unexpected|unterminated|invalid) line|refusing to fetch into branch",
    re.IGNORECASE,
)

# Errors of a fetch when the connection or the other side failed: they do not mean that the mirror is damaged.
_ELSEWHERE = re.compile(
    r"early EOF|hung up|unexpected disconnect|sideband|RPC failed|protocol error|on the remote side|unable to access"
    r"|connection (?:reset|refused|closed|timed out)|operation timed out|could not read from remote|remote: fatal",
    re.IGNORECASE,
)


def remove_if_damaged(mirror_path: Path, error: GitError) -> bool:
    """Removes a mirror if the error says that it is unreadable, as after a power failure, so that it is fetched again.
    Returns whether it did. A broken connection, or a source that is itself damaged, is not a reason."""
    message = str(error)
    own = str(mirror_path.absolute()) in message and _DAMAGED_FILES.search(message)
    if not (own or _DAMAGED.search(message)) or _ELSEWHERE.search(message) or not mirror_path.is_dir():
        return False
    with locked(mirror_path):
        broken = mirror_path.with_name(f".{mirror_path.name}.broken-{os.getpid()}")
        mirror_path.rename(broken)
        shutil.rmtree(broken, ignore_errors=True)
    return True


def remote_head(location: str, branch: str | None, *, env: dict[str, str] | None = None) -> tuple[str, str]:
    """(branch, commit) of `branch`, or of the default branch, at a location that was already checked."""
    wanted = f"refs/heads/{check_ref(branch)}" if branch else "HEAD"
    output = run_remote(
        ["ls-remote", "--symref", "--quiet", "--end-of-options", location, wanted],
        purpose="listing the branches",
        where=location,
        env=env or command.environment("file"),
        timeout=_LIST_TIMEOUT,
        limit=1 << 20,
    )
    name, commit = branch or "", ""
    for line in output.decode(errors="replace").splitlines():
        value, _, ref = line.partition("\t")
        if ref == wanted and value.startswith("ref: refs/heads/"):
            name = value.removeprefix("ref: refs/heads/")
        elif ref == wanted and re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", value):
            commit = value
    if commit and not name:
        raise GitError(f"{redact(location)} has a detached HEAD: name the branch to index")
    if not commit:
        what = f"no branch {branch!r}" if branch else "no commits yet, or its default branch has none: name a branch"
        raise GitError(f"{redact(location)} has {what}")
    return name, commit


_REFUSED = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|Permission denied|Host key verification failed"
    r"|returned error: 40[13]",
    re.IGNORECASE,
)


def run_remote(
    arguments: Iterable[str],
    *,
    purpose: str,
    where: str,
    env: dict[str, str],
    timeout: float,
    git_dir: Path | None = None,
    limit: int = command.OUTPUT_LIMIT,
    accept: tuple[int, ...] = (0,),
) -> bytes:
    """Runs a command that contacts the source. Raises `AccessRefused` when that refuses the credentials."""
    try:
        _, output = command.run(
            arguments,
            purpose=purpose,
            where=where,
            git_dir=git_dir,
            env=env,
            timeout=timeout,
            limit=limit,
            accept=accept,
        )
    except GitTimeout:
        raise
    except GitError as error:
        if not is_url(where) or not _REFUSED.search(error.said):
            raise
        remedy = (
            f"add a line https://USER:TOKEN@HOST/PATH to {FILE} in the folder of secrets"
            if where.lower().startswith("http")
            else "ssh must log in without a prompt: with a key in the agent or ~/.ssh, and the host in known_hosts"
        )
        raise AccessRefused(f"{redact(where)} refuses access ({error.said}): {remedy}", error.said) from None
    return output


def address_of(location: str, roots: tuple[Path, ...]) -> tuple[str, str]:
    """What git takes as the address of an allowed location, and the transport it needs. Raises `GitError`."""
    if is_url(location):
        check_url(location)
        scheme = location.lower().partition("://")[0]
        return location, scheme if scheme in ("http", "https") else "ssh"
    if "://" in location or "::" in location:
        raise GitError(f"{redact_location(location)}: only paths, https and ssh locations are allowed")
    path = confine(location, roots)
    source = Repository(path)
    for folder in source.folders():
        confine(folder, roots)  # a `.git` file may point anywhere
    return str(path), "file"


def _object_format(repository: Repository) -> str:
    _, output = repository.git("rev-parse", "--show-object-format", purpose="reading the object format")
    return output.decode().strip()


def _ensure(path: Path, object_format: str = "sha1") -> Repository:
    if (path / _CONFIG).is_file() and not is_repository(path):
        shutil.rmtree(path)  # ours, and damaged
    if not (path / _CONFIG).is_file():
        if path.exists():
            raise GitError(f"{path} exists but is not a mirror made by Penstock: move it away")
        building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            command.run(
                [
                    "init",
                    "--quiet",
                    "--bare",
                    "--template=",
                    "--initial-branch=main",
                    f"--object-format={object_format}",
                    str(building),
                ],
                purpose="making a mirror",
                where=path,
            )
            # Only in a global file, `safe.directory` applies to the upload-pack of another user's repository.
            (building / _CONFIG).write_text("[safe]\n\tdirectory = *\n", encoding="utf-8")
            building.chmod(0o700)
            building.rename(path)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    return Repository(path)


def _make_way(repository: Repository, ref: str) -> None:
    """Removes branches of a mirror that conflict with `ref`, as `a` does with `a/b` when a source has renamed one."""
    _, output = repository.git("for-each-ref", "--format=%(refname)", "refs/heads/", purpose="listing branches")
    for line in output.splitlines():
        held = os.fsdecode(line)
        if held.startswith(f"{ref}/") or ref.startswith(f"{held}/"):
            repository.git("update-ref", "-d", held, purpose=f"removing the branch {held!r} from a mirror")


@contextlib.contextmanager
def locked(mirror_path: Path) -> Iterator[None]:
    """Whatever fetches into a mirror waits here for whoever else does."""
    path = mirror_path.with_name(f"{mirror_path.name}.lock")
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _remove_stale_locks(path: Path) -> None:
    # We hold the mirror's own lock, so git's lock files can only be left over from a killed process.
    for name in ("HEAD.lock", "packed-refs.lock", "config.lock", "shallow.lock", "gc.pid"):
        (path / name).unlink(missing_ok=True)
    for left in [*(path / "refs").rglob("*.lock"), *(path / "objects" / "pack").glob("tmp_*")]:
        left.unlink(missing_ok=True)
