"""Users, tokens, repositories and permissions of the fake forge, its clock, and the lock over all of it."""

import functools
import itertools
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from deploy.fake_forge import git
from deploy.fake_forge.chat import Workspace
from deploy.fake_forge.records import PERMISSIONS, App, NotFound, Repository, Token, User, Write

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Accounts")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def locked(method: "Callable[Concatenate[S, P], R]") -> "Callable[Concatenate[S, P], R]":
    """Has a method hold `self.lock`."""

    @functools.wraps(method)
    def inside(self: S, /, *arguments: P.args, **named: P.kwargs) -> R:
        with self.lock:
            return method(self, *arguments, **named)

    return cast("Callable[Concatenate[S, P], R]", inside)


class Accounts:
    """`folder` holds the bare repositories, as `<owner>/<name>.git`. `changed` is called after each change, with the
    event's name and what belongs to it; see `deliveries.py`."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        self.folder = folder
        self.users: dict[str, User] = {}
        self.tokens: dict[str, Token] = {}
        """By secret."""
        self.repositories: dict[str, Repository] = {}
        self.app = App()
        self.chat = Workspace()
        self.writes: list[Write] = []
        self.changed: Callable[[str, str, Repository, User, dict[str, Any]], None] = lambda *_: None
        self.hand_out: Callable[[bytes], str] = lambda text: ""
        """Puts a log into the storage, and returns its signed address."""
        self.ids = itertools.count(1)
        self._dialect = threading.local()

    @property
    def dialect(self) -> str:
        """In whose name the current thread changes the state."""
        return getattr(self._dialect, "name", "python")

    @dialect.setter
    def dialect(self, name: str) -> None:
        self._dialect.name = name

    def wrote(self, action: str, repository: Repository, subject: object, user: User) -> None:
        self.writes.append(
            Write(action, repository.full_name, str(subject), user.login, self.dialect, time.monotonic())
        )

    @locked
    def add_user(self, login: str, name: str = "", *, is_bot: bool = False) -> User:
        """The user of that login, made if there is none."""
        if login not in self.users:
            self.users[login] = User(next(self.ids), login, name or login, now(), is_bot)
        return self.users[login]

    @locked
    def add_token(self, login: str, name: str, *, is_installation: bool = False) -> str:
        secret = f"fake-{secrets.token_hex(16)}"
        self.tokens[secret] = Token(name, self.add_user(login), secret, is_installation)
        return secret

    @locked
    def add_repository(
        self, full_name: str, seed: Path | None, default_branch: str, *, private: bool, description: str
    ) -> Repository:
        owner, _, name = full_name.partition("/")
        for part in (owner, name):
            if not part or set(part) - _NAME or part.startswith(".") or part.endswith(".git"):
                raise ValueError(f"repository {full_name!r} is not owner/name with letters, digits, '-', '_' and '.'")
        if full_name in self.repositories:
            raise ValueError(f"repository {full_name} exists")
        path = self.folder / owner / f"{name}.git"
        git.create(path, default_branch, seed)
        made = Repository(next(self.ids), owner, name, path, default_branch, now(), private, description)
        self.repositories[full_name] = made
        made.permissions[self.add_user(owner).login] = "admin"
        return made

    @locked
    def install_app(self, repository: Repository, login: str, permission: str) -> int:
        """Lets the GitHub App with the bot user `login` into a repository; returns the installation's id."""
        self.add_user(login, is_bot=True)
        repository.permissions[login] = permission
        for number, names in self.app.installations.items():
            if any(name.partition("/")[0] == repository.owner for name in names):
                names.add(repository.full_name)
                return number
        number = next(self.ids)
        self.app.installations[number] = {repository.full_name}
        return number

    @locked
    def repository(self, full_name: str) -> Repository:
        if full_name not in self.repositories:
            raise NotFound(full_name)
        return self.repositories[full_name]

    def permission(self, repository: Repository, user: User | None) -> str:
        granted = repository.permissions.get(user.login, "none") if user else "none"
        return "read" if granted == "none" and not repository.private else granted

    def may(self, repository: Repository, user: User | None, wanted: str) -> bool:
        return PERMISSIONS.index(self.permission(repository, user)) >= PERMISSIONS.index(wanted)


def now() -> datetime:
    """To the second, as the services give it."""
    return datetime.now(UTC).replace(microsecond=0)


def stamp(at: datetime | None) -> str | None:
    """ISO 8601 in UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None
