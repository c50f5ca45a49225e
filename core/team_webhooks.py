"""Secrets of the webhooks of teams other than the default one: up to two for each team and sender, so that one can be
replaced without losing a delivery.

They are files in the folder of secrets that only their owner can read, since signatures need the secrets themselves.
The default team's are in `core.credentials`.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from core.credentials import CredentialsError, new_standard_secret, read_private
from core.signatures import SIGNING, standard_key

SENDERS = ("github", "gitlab", "gitea", "bitbucket", "jira", "linear", "generic")
"""Slack is not among them: its one app belongs to the default team."""
MOST = 2
"""Secrets of one sender that are valid at once, the newest first."""
_FOLDER = "webhooks"
_SECRET = re.compile(r"[\x21-\x7e]{16,500}")


def read_secrets(folder: Path, team_id: uuid.UUID, sender: str) -> tuple[str, ...]:
    """The valid secrets, the newest first; `folder` is that of all secrets. Raises `CredentialsError`."""
    try:
        found = read_private(_file(folder, team_id, sender)).split()
    except FileNotFoundError:
        return ()
    for secret in found:
        check_secret(sender, secret)
    return tuple(found[:MOST])


def teams_with_secrets(folder: Path) -> list[uuid.UUID]:
    """The teams that have any, also those that were removed. Raises `OSError` if the folder cannot be read."""
    try:
        names = [path.name for path in (folder / _FOLDER).iterdir()]
    except FileNotFoundError:
        return []
    return [uuid.UUID(name) for name in names if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name)]


def senders_of(folder: Path, team_id: uuid.UUID) -> list[str]:
    """The senders for which a team has secrets."""
    return [sender for sender in SENDERS if _file(folder, team_id, sender).is_file()]


def add_secret(folder: Path, team_id: uuid.UUID, sender: str, secret: str | None = None) -> tuple[str, bool]:
    """Adds a secret, a new one unless it is given, in front of the newest that there is; older ones end. Returns it and
    whether there was one before. Raises `CredentialsError`."""
    added = new_secret(sender) if secret is None else secret
    check_secret(sender, added)
    with _locked(folder):
        before = [one for one in read_secrets(folder, team_id, sender) if one != added]
        _write(_file(folder, team_id, sender), [added, *before][:MOST])
    return added, bool(before)


def end_former(folder: Path, team_id: uuid.UUID, sender: str) -> bool:
    """Keeps the newest secret alone; returns whether there was another. Raises `CredentialsError`."""
    with _locked(folder):
        found = read_secrets(folder, team_id, sender)
        if len(found) > 1:
            _write(_file(folder, team_id, sender), [found[0]])
    return len(found) > 1


def remove_secrets(folder: Path, team_id: uuid.UUID, sender: str | None = None) -> bool:
    """Removes the secrets of a sender, or all of a team; returns whether there were any."""
    path = _file(folder, team_id, sender) if sender else folder / _FOLDER / str(team_id)
    with _locked(folder):
        there = path.exists()
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return there


def new_secret(sender: str) -> str:
    return new_standard_secret() if sender == "generic" else secrets.token_hex(32)


def check_secret(sender: str, secret: str) -> None:
    """Raises `CredentialsError` for what cannot be a secret of this sender."""
    if not _SECRET.fullmatch(secret):
        raise CredentialsError("a webhook's secret has 16 to 500 visible ASCII characters, without spaces")
    if sender == "generic" or (sender == "gitlab" and secret.startswith(SIGNING)):
        try:
            standard_key(secret)
        except ValueError as error:
            raise CredentialsError(str(error)) from error


def _file(folder: Path, team_id: uuid.UUID, sender: str) -> Path:
    if sender not in SENDERS:
        raise CredentialsError(f"{sender[:40]!r} sends no webhooks to teams: {', '.join(SENDERS)} do")
    return folder / _FOLDER / str(team_id) / sender


def _write(path: Path, lines: list[str]) -> None:
    """Replaces the file at once, so that no process reads a part of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process changes secrets at a time. Raises `CredentialsError` if nothing can be written there."""
    try:
        (folder / _FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / _FOLDER / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise CredentialsError(
            f"secrets cannot be written to {folder / _FOLDER} ({error.strerror}): make the folder writable"
        ) from error
