"""The git sources of a team: their locations, and the forge's repository that each represents.

Only these locations are ever cloned. They are rows of the table `sources`; reading them needs no git.
"""

import contextlib
import glob
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from psycopg.errors import LockNotAvailable, UniqueViolation
from psycopg.rows import class_row

from core.database import Database
from core.git import GitError, Repository, check_url, confine, is_url, redact, redact_location
from core.repository_names import REPOSITORY, rename

_LOCK_WAIT = "10min"
_LONGEST_LOCATION = 2000
_LONGEST_BRANCH = 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PUBLIC = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "codeberg.org": "gitea",
    "gitea.com": "gitea",
    "bitbucket.org": "bitbucket",
}
FORGES = ("github", "gitlab", "gitea", "bitbucket")
_ADDRESS = re.compile(
    r"https://[A-Za-z0-9.-]{1,253}(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]{0,200})?"
    r"|http://(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]{0,200})?"
)


class SourceError(ValueError):
    """A source cannot be added or found; the message says why and what to do."""


class SourceBusy(SourceError):
    """Another process has been refreshing or removing the source for longer than the lock timeout."""


@dataclass(frozen=True, slots=True)
class Forge:
    """A service with pull requests, at `address` (https://HOST)."""

    service: str
    address: str


@dataclass(frozen=True, slots=True)
class Source:
    """`location` is an absolute path or a URL, possibly with a credential; `shown` is the same without it. `forge` is
    the service at `forge_address` to which results are published; without one, they go to the repository itself."""

    team_id: uuid.UUID
    name: str
    location: str = field(repr=False)
    branch: str | None
    repository: str | None
    created_at: datetime
    forge: str | None = None
    forge_address: str | None = None

    @property
    def shown(self) -> str:
        return redact(self.location)


_SELECT = b"SELECT team_id, name, location, branch, repository, created_at, forge, forge_address FROM sources"


_ADD = """
INSERT INTO sources AS held (team_id, name, location, branch, repository, forge, forge_address)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (team_id, name) DO UPDATE SET repository = excluded.repository
WHERE held.repository IS NULL AND excluded.repository IS NOT NULL AND held.location = excluded.location
    AND held.branch IS NOT DISTINCT FROM excluded.branch
"""


def add_source(
    database: Database,
    team_id: uuid.UUID,
    name: str,
    location: str,
    branch: str | None = None,
    repository: str | None = None,
    roots: Iterable[Path] = (),
    forge: Forge | None = None,
) -> Source:
    """Adds a git source and returns it. Adding the same source again only sets its `repository`, if it had none.

    `location` is a path below one of `roots`, or an https or ssh URL. `repository` is `owner/name` on
    its forge, which `forge` names; for addresses of public forges, both follow from the location. Names are stored in
    lower case. Raises `SourceError`.
    """
    name = check_name(name)
    if (public := public_forge(location)) is not None and forge is None:
        forge, repository = public[0], repository or public[1]
    if repository is not None:
        repository = check_repository(repository)
    if forge is not None and (repository is None or not is_url(location.strip())):
        raise SourceError("results are published at a forge only for a URL, with the repository's name: --repository")
    if branch is not None and not _is_branch(branch):
        raise SourceError(f"{branch[:80]!r} is not a valid branch name")
    location = _check_location(location, tuple(roots))
    try:
        with database.team(team_id) as connection:
            connection.execute(
                _ADD,
                (
                    team_id,
                    name,
                    location,
                    branch,
                    repository,
                    *((forge.service, forge.address) if forge else (None, None)),
                ),
            )
    except UniqueViolation as error:
        raise SourceError(
            f"repository {repository} already has a source: `penstock index status` lists them"
        ) from error
    source = find_source(database, team_id, name)
    if (source.location, source.branch) == (location, branch) and repository in (None, source.repository):
        return source
    raise SourceError(
        f"source {name} exists already, at {source.shown}, branch {source.branch or 'the default one'}, repository "
        f"{source.repository or 'none'}: choose another name, or remove it with `penstock index remove {name}`; if its "
        f"repository was renamed or has moved, use `penstock index rename {name}`"
    )


def public_forge(location: str) -> tuple[Forge, str] | None:
    """The forge and repository of a URL at a public forge, or None."""
    match = re.fullmatch(
        r"(?:(?:https|ssh)://(?:[^/\s?#]*@)?|[\w.-]+@)([A-Za-z0-9.-]+)[:/]([^\s?#]+?)(?:\.git)?/?", location.strip()
    )
    service = _PUBLIC.get(match[1].lower()) if match else None
    if match is None or service is None or not REPOSITORY.fullmatch(match[2]):
        return None
    return Forge(service, f"https://{match[1].lower()}"), match[2].lower()


def rename_source(
    database: Database,
    team_id: uuid.UUID,
    name: str,
    *,
    repository: str | None = None,
    location: str | None = None,
    roots: Iterable[Path] = (),
    mirrors: Path | None = None,
) -> Source:
    """Gives a source the new name or location of its repository, with the tickets of the repository's project.

    The repository's id at its forge is forgotten, and learnt again from the next delivery. With a new location, the
    mirrors of the former one are deleted from the folder `mirrors`, and the next refresh fetches the repository from
    there; it waits for a running refresh. Raises `SourceError`.
    """
    found = find_source(database, team_id, name)
    if repository is None and location is None:
        raise SourceError("nothing to change: pass --repository OWNER/NAME, --location DIR_OR_URL, or both")
    wanted = check_repository(repository) if repository is not None else None
    place = _check_location(location, tuple(roots)) if location is not None else found.location
    alone = locked(database, team_id, found.name) if place != found.location else contextlib.nullcontext()
    with alone, database.team(team_id) as connection:
        held = connection.execute(
            "UPDATE sources SET location = %s WHERE team_id = %s AND name = %s RETURNING repository",
            (place, team_id, found.name),
        ).fetchone()
        if held is None:
            raise SourceError(f"source {found.name} was removed meanwhile: `penstock index status` lists the others")
        if wanted is not None:
            connection.execute(
                "UPDATE sources SET (forge_repository_service, forge_repository_host, forge_repository_id) "
                "= (NULL, NULL, NULL) WHERE team_id = %s AND name = %s",
                (team_id, found.name),
            )
        if wanted not in (None, held[0]):
            problem = rename(connection, team_id, found.name, wanted or "", held[0])
            if problem:
                raise SourceError(
                    f"source {found.name} keeps its repository {held[0] or 'none'}: {problem}. `penstock index status` "
                    "lists the sources; remove one with `penstock index remove`, or unlink a project with `penstock "
                    "tickets unlink`"
                )
        if place != found.location and mirrors is not None:
            _drop_mirrors(mirrors, team_id, found.name)
    return find_source(database, team_id, found.name)


def check_repository(text: str) -> str:
    """The repository's name in lower case. Raises `SourceError`."""
    name = text.strip().lower()
    if not REPOSITORY.fullmatch(name):
        raise SourceError(f"{name[:80]!r} is not a repository's name: write owner/name")
    return name


def check_forge(service: str, address: str) -> Forge:
    """Raises `SourceError`, which does not show the address, since it may hold a token."""
    if service not in FORGES:
        raise SourceError(f"{service[:40]!r} is not a forge: use {', '.join(FORGES)}")
    if not _ADDRESS.fullmatch(address):
        raise SourceError("a forge's address must be https://HOST or https://HOST/PATH, without user name or query")
    return Forge(service, address.rstrip("/"))


def set_forge(
    database: Database, team_id: uuid.UUID, name: str, forge: Forge | None, repository: str | None = None
) -> Source:
    """Sets where a source's results are published; None: in the repository itself. Raises `SourceError`."""
    found = find_source(database, team_id, name)
    repository = check_repository(repository) if repository is not None else found.repository
    if forge is not None and (repository is None or not is_url(found.location)):
        raise SourceError("results are published at a forge only for a URL, with the repository's name: --repository")
    try:
        with database.team(team_id) as connection:
            connection.execute(
                "UPDATE sources SET forge = %s, forge_address = %s, repository = %s WHERE team_id = %s AND name = %s",
                (*((forge.service, forge.address) if forge else (None, None)), repository, team_id, found.name),
            )
    except UniqueViolation as error:
        raise SourceError(f"repository {repository} belongs to another source") from error
    return find_source(database, team_id, name)


def _is_branch(name: str) -> bool:
    """Whether a branch name is safe to pass to git: excludes names that git would parse as something else."""
    bad = re.search(r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{", name)
    return 0 < len(name) <= _LONGEST_BRANCH and not name.startswith("-") and not bad


def check_name(name: str) -> str:
    """The name in lower case. Raises `SourceError` if it is not a valid name."""
    lower = name.strip().lower()
    if not _NAME.fullmatch(lower):
        raise SourceError(
            f"{name[:80]!r} is not a valid source name: use up to 64 letters, digits, '.', '_' and '-', "
            "starting with a letter or digit"
        )
    return lower


def _check_location(location: str, roots: tuple[Path, ...]) -> str:
    location = location.strip()
    if len(location) > _LONGEST_LOCATION or re.search(r"[\x00\ud800-\udfff]", location):
        raise SourceError(
            f"an address must have at most {_LONGEST_LOCATION} characters, be valid UTF-8 and contain no NUL character"
        )
    if is_url(location):
        try:
            return check_url(location)
        except GitError as error:
            raise SourceError(str(error)) from error
    if "://" in location or "::" in location or re.match(r"[^/]+@[^/]+:", location):
        raise SourceError(f"{redact_location(location)}: use a path, an https or ssh URL, or user@host:path")
    try:
        path = confine(location, roots)
        for folder in Repository(path).folders():
            confine(folder, roots)
    except GitError as error:
        raise SourceError(str(error)) from error
    return str(path)


def find_source(database: Database, team_id: uuid.UUID, name: str) -> Source:
    """The team's source of this name. Raises `SourceError` if there is none."""
    with database.team(team_id) as connection, connection.cursor(row_factory=class_row(Source)) as cursor:
        found = cursor.execute(
            _SELECT + b" WHERE team_id = %s AND name = %s", (team_id, name.strip().lower())
        ).fetchone()
    if found is None:
        raise SourceError(f"no source {name[:80]!r}: `penstock index add NAME DIR_OR_URL` adds one")
    return found


@contextlib.contextmanager
def locked(database: Database, team_id: uuid.UUID, name: str) -> Iterator[None]:
    """Locks the source against concurrent refresh and removal; waits up to 10 minutes. Raises `SourceBusy`."""
    # A separate transaction holds the lock, since the work takes several; the lock ends with this process.
    with database.team(team_id) as holder:
        holder.execute("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
        holder.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_WAIT,))
        key = f"penstock context {team_id} {name}"
        try:
            holder.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (key,))
        except LockNotAvailable as error:
            raise SourceBusy(
                f"another process has been refreshing or removing source {name} for more than {_LOCK_WAIT}: "
                "the next refresh will index the latest changes"
            ) from error
        yield


def remove_source(database: Database, team_id: uuid.UUID, name: str, mirrors: Path) -> Source:
    """Removes a source with its index, history and mirrors, but not its tasks. Waits for a running refresh.

    Contents that nothing else refers to are pruned later. Raises `SourceError` if there is no such source.
    """
    name = name.strip().lower()
    with locked(database, team_id, name):
        found = find_source(database, team_id, name)
        with database.team(team_id) as connection:
            connection.execute("DELETE FROM sources WHERE team_id = %s AND name = %s", (team_id, name))
        _drop_mirrors(mirrors, team_id, name)
    return found


def _drop_mirrors(mirrors: Path, team_id: uuid.UUID, name: str) -> None:
    for mirror in (mirrors / str(team_id)).glob(f"{glob.escape(name)}-????????????.git*"):
        shutil.rmtree(mirror) if mirror.is_dir() else mirror.unlink()


def list_sources(database: Database, team_id: uuid.UUID) -> list[Source]:
    """All sources of the team, sorted by name."""
    with database.team(team_id) as connection, connection.cursor(row_factory=class_row(Source)) as cursor:
        return cursor.execute(_SELECT + b" WHERE team_id = %s ORDER BY name", (team_id,)).fetchall()
