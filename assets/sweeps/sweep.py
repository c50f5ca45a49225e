"""Sweeps the places that are due, one after the other: what was missed is stored, and each place's row moves on.

A place has a limited time and number of pages, and goes on from there at its next turn. A service that does not answer,
or asks for a pause, is left alone for the rest of the run, so that it holds no others up.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from assets.context.tickets.apis import APIS, ApiError, Patience, Reader, read_page
from assets.platform import Platform
from assets.sweeps import places
from assets.sweeps.branches import sweep_branch
from assets.sweeps.checks import sweep_checks
from assets.sweeps.observe import Observer, repository_of
from assets.sweeps.places import GIT, Place, Progress
from assets.sweeps.reviews import own_pulls
from assets.sweeps.store import NOTHING, Stored, store_missing
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.git import GitError
from core.http import Pauses
from core.payload import BadField
from core.teams import DEFAULT_TEAM
from core.tickets import Kind, Service

RUN_SECONDS = 600.0
PLACE_SECONDS = 120.0
"""After which no further page of a place is begun in one turn."""
PAGE_SECONDS = 300.0
"""Which the last page of a turn may take beyond that: one of GitLab needs requests for each of its issues."""
MOST_PAGES = 50
"""Of one place in one turn."""
REST_SECONDS = 30.0
"""Until the next turn of a place that was not read to its end."""
OVERLAP = timedelta(minutes=10)
"""Each sweep also reads what changed so long before the last one began: clocks differ, and a change may become visible
later than its time says."""
_PAUSES = Pauses(first=0.5, longest=5.0, longest_asked=5.0, unsaid=60.0)
_SECONDS, _TRIES = 30.0, 3
_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Swept:
    """One place's turn: pages read, events that were missed, tasks that these started. `whole`: it was read to its end.
    `error` says why it could not be read further, `problems` what in it could not be understood."""

    place: Place
    pages: int = 0
    stored: Stored = NOTHING
    whole: bool = True
    error: str | None = None
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        found = f"{self.stored.missed} missed events, {self.stored.tasks} tasks started"
        rest = f": {self.error}" if self.error else "" if self.whole else "; there is more"
        return f"{self.place}: {found}{rest}"


def sweep_due(
    platform: Platform,
    *,
    team_id: uuid.UUID | None = None,
    source: str | None = None,
    forced: bool = False,
    local: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Swept]:
    """Sweeps every place that is due, or those of a team or source, and yields the outcome of each; `forced`: also
    those that are not due; `local`: only the branches of repositories on this machine. Raises nothing for a service
    that refuses or does not answer, and psycopg's errors."""
    listed = places.list_places(platform.database, source)
    places.note_places(platform.database, listed, source)
    listed = [one for one in listed if team_id in (None, one.team_id) and (one.local or not local)]
    until = clock() + RUN_SECONDS
    away: dict[str, ApiError] = {}
    for place in places.by_urgency(platform.database, listed):
        if clock() > until:
            return
        progress = places.take(platform.database, place, forced=forced)
        if progress is None:
            continue
        host = _host(place)
        turn = _Turn(platform, place, progress, min(until, clock() + PLACE_SECONDS), sleep, clock)
        try:
            if host in away:
                raise away[host]
            swept = turn.run()
            minutes = platform.settings.sweep_minutes or 10.0
            seconds = minutes * 60.0 if swept.whole else REST_SECONDS
            found = swept.stored.missed if place.service == GIT else 0  # that of others was counted page by page
            places.ended(platform.database, place, whole=swept.whole, seconds=seconds, found=found)
        except (ApiError, GitError, BadField, ForgeUnavailable, PublicationRefused) as error:
            pause = getattr(error, "pause", None)
            status = getattr(error, "status", None)
            anew = status is not None and status not in (401, 403)  # the address of a further page may be too old
            seconds = places.pause_after(progress.failures, pause)
            places.failed(platform.database, place, str(error), seconds, anew=anew)
            swept = Swept(place, turn.pages, turn.stored, False, str(error), tuple(turn.problems))
            if isinstance(error, ApiError) and error.unavailable:
                away[host] = error
        yield swept


def _host(place: Place) -> str:
    return f"{place.service} {urlsplit(place.address).netloc.rpartition('@')[2].lower() or place.address}"


class _Turn:
    """The sweep of one place; what was done before an error remains readable."""

    def __init__(
        self,
        platform: Platform,
        place: Place,
        progress: Progress,
        until: float,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self.platform, self.place, self.progress = platform, place, progress
        self.until, self.sleep, self.clock = until, sleep, clock
        self.pages = 0
        self.stored = NOTHING
        self.problems: list[str] = []

    def run(self) -> Swept:
        if self.place.service == GIT:
            return Swept(self.place, stored=sweep_branch(self.platform, self.place))
        service = Service(self.place.service)
        api, setting = APIS[service], f"PENSTOCK_{service.upper()}_TOKEN"
        token = _token(self.platform, self.place)
        if token is None:
            raise ApiError(f"there is no token for {self.place.address}: set {setting}")
        patience = Patience(_SECONDS, _TRIES, _PAUSES, self.until + PAGE_SECONDS)
        headers = api.headers(token)
        with Reader(self.place.address, headers, setting=setting, sleep=self.sleep, patience=patience) as reader:
            return self._read(reader, service)

    def _read(self, reader: Reader, service: Service) -> Swept:
        place, at = self.place, self.progress.position()
        with self.platform.database.team(place.team_id) as connection:
            pulls = own_pulls(connection, place)
        observer = Observer(
            reader,
            service,
            place.project,
            at.since or at.began,
            self.platform.settings.rules,
            repository_of(reader, service, place.project),
            pulls,
        )
        while at.step is not None and self.pages < MOST_PAGES and self.clock() < self.until:
            step = at.step
            page, at = read_page(APIS[service], reader, place.project, at)
            # A list of issues also shows pull requests, with less than their own list does.
            whole = step > 0 or service == Service.BITBUCKET  # which has no issues
            changes = [one for one in page.changes if whole or one.kind != Kind.PULL_REQUEST]
            found = list(observer.observe(changes, self.problems))
            stored = store_missing(
                self.platform.database, self.platform.log, place, found, self.platform.settings.backlog
            )
            with self.platform.database.team(place.team_id) as connection:
                places.moved(connection, place, at, stored.missed, OVERLAP)
            self.stored += stored
            self.pages += 1
            self.problems = [*self.problems, *page.skipped][:_MOST_PROBLEMS]
        if at.step is None:
            self._read_checks()
        return Swept(place, self.pages, self.stored, at.step is None, problems=tuple(self.problems))

    def _read_checks(self) -> None:
        """What keeps the checks of the branch from being read is a problem, which holds nothing else up."""
        try:
            stored = sweep_checks(self.platform, self.place)
        except (ForgeUnavailable, PublicationRefused) as error:
            self.problems = [*self.problems, f"the checks of its branch: {error}"[:300]]
            return
        with self.platform.database.team(self.place.team_id) as connection:
            places.add_found(connection, self.place, stored.missed)
        self.stored += stored


def _token(platform: Platform, place: Place) -> str | None:
    """The token for a place: that of the source's forge, or of the service that a project was linked from."""
    if place.own:
        return platform.forge_token(place.team_id, place.source)
    token = getattr(platform.settings, f"{place.service}_token", None)
    return token.get_secret_value() if token is not None and place.team_id == DEFAULT_TEAM else None
