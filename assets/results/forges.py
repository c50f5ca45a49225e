"""Which forge a source's results go to: the hosted one that it is configured for, else the repository itself."""

import functools
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from psycopg.rows import class_row

from assets.platform import Platform
from assets.results.pace import wait_for_turn
from assets.results.trackers import NoTracker, linked_places, open_tracker, split_place
from core.commit_author import parse_identity
from core.forge import bitbucket_access
from core.forge.conventions import Conventions
from core.forge.host import CodeHost
from core.forge.hosted import HostedForge
from core.forge.local_git import LocalGit
from core.forge.protocol import Forge, ForgeUnavailable, PublicationRefused
from core.git import Credential, GitError, Remote, Repository, confine, find_credential, is_url
from core.git.credentials import credential_file
from core.signing_keys import signing_key
from core.tasks import Task
from core.teams import DEFAULT_TEAM

if TYPE_CHECKING:
    from core.forge.github_app import GitHubApp

_USERS = {"github": "x-access-token", "gitlab": "oauth2", "gitea": "penstock"}
"""The user name that each forge takes with a token over https."""


class NoToken(ForgeUnavailable):
    """There is no token for the forge."""


@dataclass(frozen=True)
class Destination:
    """A source, as far as publishing needs it."""

    team_id: uuid.UUID
    name: str
    location: str
    branch: str | None
    repository: str | None
    forge: str | None
    forge_address: str | None


def find_destination(platform: Platform, team_id: uuid.UUID, source: str) -> Destination:
    """Raises `PublicationRefused` if there is no such source any more."""
    with platform.database.team(team_id) as connection, connection.cursor(row_factory=class_row(Destination)) as cursor:
        found = cursor.execute(
            "SELECT team_id, name, location, branch, repository, forge, forge_address FROM sources "
            "WHERE team_id = %s AND name = %s",
            (team_id, source),
        ).fetchone()
    if found is None:
        raise PublicationRefused(f"source {source!r} is no longer configured")
    return found


def target_of(destination: Destination) -> str:
    """The target of the publications of a source."""
    if destination.forge is not None:
        return f"{destination.forge}:{destination.repository}"
    return f"git:{destination.name}"


def open_forge_for(platform: Platform, team_id: uuid.UUID, source: str) -> Forge:
    """The forge to which results of a source are published. Raises `PublicationRefused` if it has none, and
    `ForgeUnavailable` if there is no token for it."""
    found = find_destination(platform, team_id, source)
    if found.forge is not None:
        return open_hosted(platform, found)
    if is_url(found.location):
        raise PublicationRefused(
            f"source {source!r} is a URL of no known forge, so the patch stays with the task: "
            f"`penstock index forge {source} --forge github|gitlab|gitea|bitbucket` says which one it is"
        )
    try:
        return LocalGit(confine(found.location, platform.settings.roots), source, _conventions(platform, team_id))
    except GitError as error:
        raise PublicationRefused(str(error)) from error


def open_hosted(platform: Platform, found: Destination) -> HostedForge:
    """The hosted forge of a source that has one. Raises `PublicationRefused`, `ForgeUnavailable`."""
    service, address, repository = found.forge, found.forge_address, found.repository
    if service is None or address is None or repository is None:
        raise PublicationRefused(f"source {found.name!r} needs its repository at the forge: `penstock index forge`")
    setting = f"PENSTOCK_{service.upper()}_TOKEN"
    credential, app = _access(platform, found)
    if credential is None:
        place = urlsplit(address)
        line = f"{place.scheme}://USER:TOKEN@{place.netloc}"
        raise NoToken(
            f"there is no token for {address}: set {setting}, or add the line {line} to "
            f"{credential_file(platform.settings.secrets_folder, found.team_id)}"
        )
    host = _host(service, address, repository, _for_api(service, credential), setting, app)
    used = credential if _is_at(found.location, address) else _of_location(platform, found)
    account = f"{service} {address} {found.team_id}"
    return HostedForge(
        host,
        lambda: _mirror(platform, found),
        Remote(found.location, _for_git(service, used)),
        base=found.branch,
        conventions=_conventions(platform, found.team_id),
        before_write=lambda: wait_for_turn(platform.database, account, platform.settings.forge_write_seconds),
    )


def _conventions(platform: Platform, team_id: uuid.UUID) -> Conventions:
    settings = platform.settings
    key = signing_key(settings, team_id)
    return Conventions(parse_identity(settings.commit_author), settings.sign_off, settings.pull_labels, key)


def _mirror(platform: Platform, found: Destination) -> Repository:
    try:
        return platform.mirror(found.team_id, found.name)
    except GitError as error:  # fetched again by the next refresh
        raise ForgeUnavailable(str(error)) from error
    except ValueError as error:  # the source was removed meanwhile
        raise PublicationRefused(str(error)) from error


def _access(platform: Platform, found: Destination) -> "tuple[Credential | None, GitHubApp | None]":
    """The credential for the forge of a source, and the GitHub App that it is of, if it is one's."""
    app = _github_app(platform, found)
    if app is not None:
        return Credential(_USERS["github"], app.token(found.repository or "")), app
    return _credential(platform, found), None


def _credential(platform: Platform, found: Destination) -> Credential | None:
    """The setting's token, which is the default team's alone; else the credential for the source's location."""
    settings = platform.settings
    token = getattr(settings, f"{found.forge}_token", None)
    if token is not None and found.team_id == DEFAULT_TEAM:
        if found.forge == "bitbucket":
            return bitbucket_access.credential_of(token.get_secret_value())
        return Credential(_USERS.get(found.forge or "", "penstock"), token.get_secret_value())
    return _of_location(platform, found)


def _for_api(service: str | None, credential: Credential) -> str:
    """The token that the API takes."""
    return bitbucket_access.api_token(credential) if service == "bitbucket" else credential.password


def _for_git(service: str, credential: Credential | None) -> Credential | None:
    """The login that git takes."""
    return bitbucket_access.git_credential(credential) if credential and service == "bitbucket" else credential


def _of_location(platform: Platform, found: Destination) -> Credential | None:
    try:
        return find_credential(platform.settings.secrets_folder, found.team_id, found.location)
    except GitError as error:
        raise ForgeUnavailable(str(error)) from error


def _is_at(location: str, address: str) -> bool:
    """Whether a location is on the forge's own server, which alone gets the forge's token."""
    place, forge = urlsplit(location), urlsplit(address)
    return (place.scheme, place.netloc.rpartition("@")[2].lower()) == (forge.scheme, forge.netloc.lower())


def _github_app(platform: Platform, found: Destination) -> "GitHubApp | None":
    settings = platform.settings
    if found.forge != "github" or found.team_id != DEFAULT_TEAM or settings.github_app_id is None:
        return None
    if settings.github_app_key is None:
        raise ForgeUnavailable("a GitHub App needs its private key: set PENSTOCK_GITHUB_APP_KEY to its PEM file")
    return _app(str(found.forge_address), settings.github_app_id, settings.github_app_key)


@functools.cache
def _app(address: str, app_id: str, key: Path) -> "GitHubApp":
    """One for each process, since it keeps its tokens while they are valid."""
    from core.forge.github_app import GitHubApp

    return GitHubApp(address, app_id, key)


def _host(service: str, address: str, repository: str, secret: str, setting: str, app: "GitHubApp | None") -> CodeHost:
    def token() -> str:
        return secret

    if service == "github":
        from core.forge.github import GitHubHost

        return GitHubHost(address, repository, token, setting=setting, login=app.login if app else None)
    if service == "gitlab":
        from core.forge.gitlab import GitLabHost

        return GitLabHost(address, repository, token, setting=setting)
    if service == "gitea":
        from core.forge.gitea import GiteaHost

        return GiteaHost(address, repository, token, setting=setting)
    if service == "bitbucket":
        from core.forge.bitbucket import BitbucketHost

        return BitbucketHost(address, repository, token, setting=setting)
    raise PublicationRefused(f"results cannot be published at {service[:40]!r}")


def api_token(platform: Platform, team_id: uuid.UUID, source: str) -> str | None:
    """The token with which the API of a source's forge is read, the same as for publishing there; None if there is
    none. Raises `PublicationRefused` if there is no such source, and `ForgeUnavailable` if a GitHub App gets none."""
    found = find_destination(platform, team_id, source)
    credential, _ = _access(platform, found)
    return _for_api(found.forge, credential) if credential else None


def access_problem(platform: Platform, team_id: uuid.UUID, source: str) -> str | None:
    """Why results of a source could not be published at its forge now: it does not answer, has no such repository, or
    refuses the token; None if it answers. Whether the token may write shows only when it does."""
    try:
        found = find_destination(platform, team_id, source)
        if found.forge is not None:
            open_hosted(platform, found).check()
    except (ForgeUnavailable, PublicationRefused) as error:
        return str(error)
    return None


def access_problems(platform: Platform, team_id: uuid.UUID, source: str) -> list[str]:
    """What keeps results of a source from its forge and from the trackers' projects that are linked to it."""
    problem = access_problem(platform, team_id, source)
    return [*([problem] if problem else []), *tracker_problems(platform, team_id, source)]


def access_states(platform: Platform, team_id: uuid.UUID, source: str) -> list[tuple[str, str, str]]:
    """Each place where a source's results go or its tickets come from: what it is, `ok`, `missing` or `degraded`, and
    why. A tracker is named as itself, so that nobody looks for its fault at the forge."""
    found = []
    try:
        destination = find_destination(platform, team_id, source)
    except PublicationRefused as error:
        found.append(("forge", "missing", str(error)))
    else:
        if destination.forge is not None:
            problem = access_problem(platform, team_id, source)
            found.append(("forge", "missing" if problem else "ok", problem or "answers, and knows the token"))
    for place in linked_places(platform, team_id, source):
        service, _, project = place.partition(":")
        state, detail = "ok", "answers, and knows the token"
        try:
            open_tracker(platform, team_id, source, place).check()
        except NoTracker:
            unset = f"PENSTOCK_{service.upper()}_TOKEN is not set"
            state, detail = "degraded", f"{unset}: nothing is shown there, and nobody is asked who may start work"
        except (ForgeUnavailable, PublicationRefused) as error:
            state, detail = "missing", str(error)
        found.append((f"{service} {project}", state, detail))
    return found


def tracker_problems(platform: Platform, team_id: uuid.UUID, source: str) -> list[str]:
    """As `access_problems`, of trackers; nothing of one for which no token is set, where nothing is to be written."""
    found = []
    for place in linked_places(platform, team_id, source):
        try:
            open_tracker(platform, team_id, source, place).check()
        except NoTracker:
            continue
        except (ForgeUnavailable, PublicationRefused) as error:
            found.append(f"{place}: {error}")
    return found


def distrust(platform: Platform, task: Task) -> str | None:
    """Why a task may not be worked on or published: who started it may not write to the repository at this moment.
    None if it may. Raises `ForgeUnavailable` (`NoToken` too), `PublicationRefused`."""
    if task.trusted or platform.settings.who_may_start == "anyone" or task.ticket_key is None:
        return None
    place = f"{task.ticket_service}:{task.ticket_project}"
    if split_place(place):
        return _tracker_distrust(platform, task, place)
    found = find_destination(platform, task.team_id, task.source)
    if found.forge is None or (task.ticket_service, task.ticket_project) != (found.forge, found.repository):
        return None  # there is nobody to ask
    if task.starter is None:
        return f"{found.forge} does not say who started this; a person who may write to {found.repository} can retry it"
    if open_hosted(platform, found).may_write(task.starter, task.starter_id):
        return None
    return f"{task.starter} may not write to {found.repository}: a person who may can start it with /penstock retry"


def _tracker_distrust(platform: Platform, task: Task, place: str) -> str | None:
    """As `distrust`, for a task of a tracker's ticket, which the setting `start_rules` has let in. Where no token is
    set for the tracker, nobody can be asked."""
    try:
        tracker = open_tracker(platform, task.team_id, task.source, place)
    except NoTracker:
        return None
    if task.starter is None:
        return f"{task.ticket_service} does not say who started this; a person who may work on it can retry it"
    if tracker.may_write(task.starter, task.starter_id, task.ticket_key):
        return None
    return f"{task.starter} may not work on {task.ticket_key}: a person who may can start it with /penstock retry"
