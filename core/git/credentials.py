"""Credentials for https sources, and http ones on loopback: removed from URLs, stored in a private file, passed to
git by its environment.

They never appear in a command line, a mirror's configuration, a log or an error. Keys for ssh are left to
ssh itself: its agent and `~/.ssh` are used, and it never prompts.
"""

import contextlib
import fcntl
import os
import re
import secrets
import stat
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from core.git.command import GitError, with_config
from core.teams import DEFAULT_TEAM

FILE = "git-credentials"
_MAX_BYTES = 64 << 10
_URL = re.compile(r"(?i)(https?)://(?:([^/\s]*)@)?([^/@\s?#]+)(/[^\s]*)?")
_HELPER = (
    '!f() { test "$1" = get || exit 0; '
    'printf "username=%s\\npassword=%s\\n" "$PENSTOCK_GIT_USERNAME" "$PENSTOCK_GIT_PASSWORD"; }; f'
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A login for an https server. A token is the password, with any user name that the forge accepts."""

    username: str = field(repr=False)
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if re.search(r"[\0\r\n]", self.username + self.password):
            raise GitError("a credential cannot hold a line break or a NUL character")


def split_credential(location: str) -> tuple[str, Credential | None]:
    """The location without a credential, and the credential of an https URL (`https://user:token@host/...`)."""
    match = _URL.fullmatch(location)
    if not match or not match[2]:
        return location, None
    username, _, password = match[2].partition(":")
    return f"{match[1]}://{match[3]}{match[4] or ''}", Credential(unquote(username), unquote(password))


def credential_file(folder: Path, team_id: uuid.UUID) -> Path:
    """The file of a team's credentials in the folder of secrets. They are never used for another team."""
    return folder / (FILE if team_id == DEFAULT_TEAM else f"{FILE}-{team_id}")


def find_credential(folder: Path, team_id: uuid.UUID, location: str) -> Credential | None:
    """The credential for an https location, or None: that of the line with the longest path that contains it.

    The file has one URL per line, `https://user:token@host[/path]`, as `git credential-store` writes it.
    Raises `GitError` when others can read the file.
    """
    match = _URL.fullmatch(location)
    if not match:
        return None
    best: tuple[int, Credential] | None = None
    for line in _lines(credential_file(folder, team_id)):
        address, credential = split_credential(line)
        kept = _URL.fullmatch(address)
        if not credential or not kept or [kept[n].lower() for n in (1, 3)] != [match[n].lower() for n in (1, 3)]:
            continue  # of another host, or for another scheme
        path = (kept[4] or "").strip("/").removesuffix(".git")
        wanted = (match[4] or "").strip("/").removesuffix(".git")
        if (not path or wanted == path or wanted.startswith(f"{path}/")) and (best is None or len(path) > best[0]):
            best = (len(path), credential)
    return best[1] if best else None


def keep_credential(folder: Path, team_id: uuid.UUID, location: str, credential: Credential) -> Path:
    """Stores the credential for an https location in the team's file, where it replaces an earlier one.
    Returns the file. Raises `GitError`."""
    path = credential_file(folder, team_id)
    match = _URL.fullmatch(location)
    if not match:
        raise GitError("only https locations have a credential of their own")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path):
        kept = [line for line in _lines(path) if split_credential(line)[0] != location]
        name, password = (quote(part, safe="") for part in (credential.username, credential.password))
        kept.append(f"{match[1]}://{name}:{password}@{match[3]}{match[4] or ''}")
        _write(path, kept)
    return path


def drop_credential(folder: Path, team_id: uuid.UUID, location: str) -> bool:
    """Removes the credential of exactly this https location from the team's file. False if there is none."""
    path = credential_file(folder, team_id)
    if not path.is_file():
        return False
    with _locked(path):
        lines = _lines(path)
        kept = [line for line in lines if split_credential(line)[0] != location]
        if len(kept) < len(lines):
            _write(path, kept)
    return len(kept) < len(lines)


def _write(path: Path, lines: Sequence[str]) -> None:
    """Replaces the file as a whole, so that nobody reads half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def with_credential(env: dict[str, str], location: str, credential: Credential | None) -> dict[str, str]:
    """`env` for a git command that may need the credential; git sends it to this location's host and no other."""
    match = _URL.fullmatch(location)
    if credential is None or not match:
        return env
    env = with_config(env, {f"credential.{match[1].lower()}://{match[3]}.helper": _HELPER})
    return env | {"PENSTOCK_GIT_USERNAME": credential.username, "PENSTOCK_GIT_PASSWORD": credential.password}


def _lines(path: Path) -> list[str]:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise GitError(f"{path} cannot be read ({error.strerror}): it must be a file that you own") from error
    with os.fdopen(number, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
            raise GitError(f"{path} can be read by others: run `chmod 600 {path}`")
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise GitError(f"{path} has more than {_MAX_BYTES} bytes: it should hold one URL per line")
    return [line.strip() for line in raw.decode("utf-8", "replace").splitlines() if line.strip()]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    number = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
