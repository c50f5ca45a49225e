"""Organisations that are registered as a whole: their repositories become sources, and new ones do so by themselves.

A repository that was added once is not added again, so a source that a user has removed stays removed. The address to
clone from is made of the forge's address and the repository's name, never taken from an answer.
"""

import hashlib
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from psycopg.rows import class_row

from assets.context.source.sources import Forge, SourceError, add_source, check_forge, check_name
from assets.context.tickets.apis import APIS, ApiError, Patience, Reader
from assets.context.tickets.apis.bitbucket import values_of
from assets.context.tickets.apis.github import listed
from assets.platform import Platform
from assets.sweeps.observe import identity_of
from assets.sweeps.places import pause_after
from assets.sweeps.store import ORIGIN
from core.database import Database
from core.forge.addresses import api_address
from core.http import Pauses
from core.intake import ChangeIntent, Delivery, Target, receive
from core.payload import BadField, Flag, Payload, parse
from core.teams import DEFAULT_TEAM
from core.tickets import Service
from core.tickets.fields import RepositoryName

MOST_PAGES = 100
"""Of at most 100 repositories each."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}(?:/[A-Za-z0-9_.-]{1,100}){0,3}")
_PATIENCE = Patience(30.0, 3, Pauses(first=0.5, longest=5.0, longest_asked=5.0, unsaid=60.0))


@dataclass(frozen=True)
class Organisation:
    """An organisation or user of GitHub or Gitea, a group of GitLab, or a workspace of Bitbucket, at the forge
    `address`. `only` and `never` are patterns for `owner/name` in which `*` matches any characters. `failures`: in a
    row, the last because of `error`."""

    team_id: uuid.UUID
    service: str
    address: str
    name: str
    only: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)
    error: str | None = None
    failures: int = 0

    def __str__(self) -> str:
        return f"{self.name} at {self.address}"

    def takes(self, repository: str) -> bool:
        """Whether a repository of it becomes a source."""
        wanted = not self.only or any(fnmatchcase(repository, pattern.casefold()) for pattern in self.only)
        return wanted and not any(fnmatchcase(repository, pattern.casefold()) for pattern in self.never)


@dataclass(frozen=True)
class Enrolled:
    """`added` are the new sources, `skipped` repositories with the reason why they became none."""

    organisation: Organisation
    added: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    error: str | None = None


class _Repository(Payload):
    """A repository of any of the forges, which have other names for the same."""

    full_name: RepositoryName | None = None
    path_with_namespace: RepositoryName | None = None
    archived: Flag | None = None
    fork: Flag | None = None
    forked_from_project: Any = None
    parent: Any = None
    mainbranch: Any = None
    empty: Flag | None = None
    empty_repo: Flag | None = None

    @property
    def problem(self) -> str | None:
        """Why it does not become a source by itself."""
        if self.archived:
            return "archived"
        if self.fork or self.forked_from_project is not None or self.parent is not None:
            return "a fork"
        unborn = "mainbranch" in self.model_fields_set and self.mainbranch is None
        return "empty" if self.empty or self.empty_repo or unborn else None


def register(
    database: Database,
    team_id: uuid.UUID,
    name: str,
    service: str,
    address: str,
    only: Sequence[str] = (),
    never: Sequence[str] = (),
) -> Organisation:
    """Registers an organisation, or gives a registered one other patterns. Raises `SourceError`."""
    forge = check_forge(service, address)
    if not _NAME.fullmatch(name):
        raise SourceError(f"{name[:80]!r} is not the name of an organisation: write it as in its address at the forge")
    patterns = [pattern for pattern in (*only, *never) if not 0 < len(pattern) <= 200]
    if patterns or len(only) + len(never) > 100:
        raise SourceError("a pattern has 1 to 200 characters, and there are at most 100 of them")
    made = Organisation(team_id, forge.service, forge.address, name.lower(), list(only), list(never))
    with database.team(team_id) as connection:
        connection.execute(
            'INSERT INTO organisations (team_id, service, address, name, "only", never) '
            "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (team_id, service, address, name) "
            'DO UPDATE SET ("only", never, next_at) = (excluded."only", excluded.never, now())',
            (team_id, made.service, made.address, made.name, made.only, made.never),
        )
    return made


def unregister(database: Database, team_id: uuid.UUID, name: str) -> int:
    """Forgets the organisations of this name; their sources stay. Returns how many there were."""
    with database.team(team_id) as connection:
        return connection.execute("DELETE FROM organisations WHERE name = %s", (name.lower(),)).rowcount


_SELECT = 'SELECT team_id, service, address, name, "only", never, error, failures FROM organisations'


def list_organisations(database: Database, *, due: bool = False) -> list[Organisation]:
    """Those of all teams; `due`: only those whose repositories should be listed again."""
    query = f"{_SELECT} WHERE next_at <= now() OR NOT %s ORDER BY team_id, name"
    with database.system() as connection, connection.cursor(row_factory=class_row(Organisation)) as cursor:
        return cursor.execute(query.encode(), (due,)).fetchall()


def enrol(platform: Platform, found: Organisation, *, patience: Patience = _PATIENCE) -> Enrolled:
    """Makes sources of the organisation's repositories that are new, and has them indexed. What a killed process leaves
    is completed by the next call. Raises nothing for a forge that refuses or does not answer: the reason is stored."""
    added: list[str] = []
    skipped: list[tuple[str, str]] = []
    error = None
    try:
        for repository in _repositories(platform, found, patience):
            name = repository.full_name or repository.path_with_namespace or ""
            if not found.takes(name):
                continue
            if repository.problem:
                skipped.append((name, repository.problem))
                continue
            try:
                source = _add(platform, found, name)
            except SourceError as refusal:
                skipped.append((name, str(refusal)))
                continue
            added += [source] if source else []
    except (ApiError, BadField) as failure:
        error = str(failure)
    pause = pause_after(found.failures, None) if error else (platform.settings.sweep_minutes or 10.0) * 60.0
    with platform.database.system() as connection:
        connection.execute(
            "UPDATE organisations SET error = %(error)s, next_at = now() + %(pause)s * interval '1 second', "
            "failures = CASE WHEN %(error)s::text IS NULL THEN 0 ELSE failures + 1 END "
            "WHERE (team_id, service, address, name) = (%(team)s, %(service)s, %(address)s, %(name)s)",
            {
                "error": error and error[:1000],
                "pause": pause,
                "team": found.team_id,
                "service": found.service,
                "address": found.address,
                "name": found.name,
            },
        )
    return Enrolled(found, tuple(added), tuple(skipped), error)


def _repositories(platform: Platform, found: Organisation, patience: Patience) -> Iterator[_Repository]:
    setting = f"PENSTOCK_{found.service.upper()}_TOKEN"
    token = getattr(platform.settings, f"{found.service}_token", None)
    if token is None or found.team_id != DEFAULT_TEAM:
        raise ApiError(f"there is no token for {found.address}: set {setting}")
    service = Service(found.service)
    address = api_address(service, found.address)
    headers = APIS[service].headers(token.get_secret_value())
    with Reader(address, headers, setting=setting, patience=patience) as reader:
        first, instead = _lists(service, found.name)
        try:
            answer = reader.get(first)
        except ApiError as error:
            if error.status != 404:
                raise
            answer = reader.get(instead)
        for _ in range(MOST_PAGES):
            is_page = service == Service.BITBUCKET
            items, following = values_of(answer.body) if is_page else (listed(answer.body), answer.next)
            for item in items:
                yield parse(_Repository, item, "repository")
            if following is None:
                return
            answer = reader.get(following)


def _lists(service: Service, name: str) -> tuple[str, str]:
    """The repositories of an organisation and, if there is none of that name, of a user."""
    if service == Service.GITLAB:
        query = "per_page=100&order_by=id&sort=asc"
        group = f"/api/v4/groups/{quote(name, safe='')}/projects?include_subgroups=true&{query}"
        return group, f"/api/v4/users/{quote(name, safe='')}/projects?{query}"
    if service == Service.BITBUCKET:  # whose workspaces are organisations and users alike
        at = f"/2.0/repositories/{quote(name)}?pagelen=100&sort=created_on"
        return at, at
    prefix, size = ("/api/v1", "limit=50") if service == Service.GITEA else ("", "per_page=100")
    return f"{prefix}/orgs/{quote(name)}/repos?{size}", f"{prefix}/users/{quote(name)}/repos?{size}"


def _add(platform: Platform, found: Organisation, repository: str) -> str | None:
    """The name of the new source; None if the repository was added before, or has a source already."""
    key = (found.team_id, found.service, found.address, repository)
    with platform.database.team(found.team_id) as connection:
        done = connection.execute(
            "SELECT true FROM organisation_repositories "
            "WHERE (team_id, service, address, repository) = (%s, %s, %s, %s)",
            key,
        ).fetchone()
        held = connection.execute("SELECT name FROM sources WHERE repository = %s", (repository,)).fetchone()
    if done is not None:
        return None
    location = f"{found.address}/{repository}.git"
    name = str(held[0]) if held else _free_name(platform.database, found.team_id, repository)
    if held is None:
        forge = Forge(found.service, found.address)
        add_source(platform.database, found.team_id, name, location, repository=repository, forge=forge)
    # A process that was killed before this leaves a source, which the next call has indexed.
    identity = identity_of(found.service, found.address, repository, "added", name)
    delivery = Delivery(ORIGIN, identity, "source added", hashlib.sha256(location.encode()).digest())
    with platform.database.team(found.team_id) as connection:
        connection.execute("INSERT INTO organisation_repositories VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING", key)
        receive(connection, platform.log, found.team_id, delivery, ChangeIntent(Target(name=name)))
    return None if held else name


def _free_name(database: Database, team_id: uuid.UUID, repository: str) -> str:
    """The repository's name or, if another source has that, the whole one with hyphens. Raises `SourceError`."""
    with database.team(team_id) as connection:
        taken = {row[0] for row in connection.execute("SELECT name FROM sources").fetchall()}
    short, whole = repository.rpartition("/")[2].lower(), repository.replace("/", "-").lower()
    for candidate in (short, whole, f"{whole[:50]}-{hashlib.sha256(repository.encode()).hexdigest()[:8]}"):
        name = re.sub(r"[^a-z0-9._-]", "-", candidate).strip("._-")[:64]
        if name and name not in taken:
            return check_name(name)
    raise SourceError(f"no free name for a source of {repository}: add it with `penstock index add`")
