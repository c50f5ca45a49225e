"""A clean directory with one commit's files, read straight from git objects.

No hooks, filters, attributes, submodules or working tree take part, so a dirty or hostile repository
cannot change what is checked out. The repository itself is only read.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .repository_settings import FILE_NAME, RepositorySettings, read_settings

MAX_FILE_BYTES = 32 << 20
MAX_TOTAL_BYTES = 512 << 20
_QUIET = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
_SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never")


class CheckoutError(RuntimeError):
    """The commit could not be read out of the repository."""


@dataclass(frozen=True)
class Checkout:
    """`root` holds exactly the files of `commit` (a full id); `settings` are that commit's `penstock.toml`."""

    root: Path
    commit: str
    settings: RepositorySettings
    notes: tuple[str, ...] = ()


def git(repository: Path, *arguments: str, stdin: bytes | None = None, timeout: float = 60.0) -> bytes:
    """Runs git on a repository that is not trusted. Raises `CheckoutError` with what git said."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.devnull, **_QUIET}
    command = ["git", *_SAFE, "-c", f"safe.directory={repository}", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise CheckoutError(f"git {arguments[0]} did not end within {timeout:g} s in {repository}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[:500]
        raise CheckoutError(f"git {arguments[0]} failed in {repository}: {said}")
    return done.stdout


def open_checkout(repository: Path, commit: str, into: Path) -> Checkout:
    """Writes the files of `commit` into the empty directory `into` and reads the commit's settings.

    Symbolic links are kept when they stay inside the tree; other links, submodules and files above
    `MAX_FILE_BYTES` are left out with a note. Raises `CheckoutError`, or `RepositorySettingsError`.
    """
    full = git(repository, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}").decode().strip()
    notes: list[str] = []
    entries = []
    for mode, kind, identity, path in _entries(repository, full):
        if kind != "blob" or not _confined(path):
            notes.append(f"{path} is left out of the checkout: it is a {'submodule' if kind == 'commit' else kind}.")
            continue
        entries.append((mode, identity, path))
    into.mkdir(parents=True, exist_ok=True)
    settings: bytes | None = None
    contents = _contents(repository, [identity for _, identity, _ in entries])
    for (mode, _, path), content in zip(entries, contents, strict=True):
        if content is None:
            notes.append(f"{path} is left out of the checkout: it is larger than {MAX_FILE_BYTES >> 20} MB.")
            continue
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if mode == "120000":
            link = content.decode(errors="surrogateescape")
            if link.startswith("/") or not (target.parent / link).resolve().is_relative_to(into.resolve()):
                notes.append(f"{path} is left out of the checkout: it is a link that leads out of the repository.")
                continue
            target.symlink_to(link)
            continue
        target.write_bytes(content)
        if mode == "100755":
            target.chmod(0o755)
        if path == FILE_NAME:
            settings = content
    return Checkout(into, full, read_settings(settings), tuple(notes))


def _entries(repository: Path, commit: str) -> Iterator[tuple[str, str, str, str]]:
    for record in git(repository, "ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
        if record:
            head, path = record.split(b"\t", 1)
            mode, kind, identity = head.decode().split()
            yield mode, kind, identity, path.decode(errors="surrogateescape")


def _confined(path: str) -> bool:
    parts = path.split("/")
    return not path.startswith("/") and ".." not in parts and ".git" not in {part.lower() for part in parts}


def _contents(repository: Path, identities: list[str]) -> Iterator[bytes | None]:
    """The blobs in order; None for one that is too large."""
    if not identities:
        return
    sizes = git(repository, "cat-file", "--batch-check", stdin="\n".join(identities).encode() + b"\n")
    lengths = [int(line.split()[2]) for line in sizes.splitlines()]
    wanted = [i for i, length in zip(identities, lengths, strict=True) if length <= MAX_FILE_BYTES]
    total = sum(length for length in lengths if length <= MAX_FILE_BYTES)
    if total > MAX_TOTAL_BYTES:
        raise CheckoutError(f"the commit holds {total >> 20} MB; at most {MAX_TOTAL_BYTES >> 20} MB are checked out")
    data = git(repository, "cat-file", "--batch", stdin="\n".join(wanted).encode() + b"\n", timeout=300)
    position = 0
    for length in lengths:
        if length > MAX_FILE_BYTES:
            yield None
            continue
        position = data.index(b"\n", position) + 1
        yield data[position : position + length]
        position += length + 1
