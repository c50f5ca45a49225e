"""Trackers as forges: their credentials, and what their tickets show of a task besides comments."""

import uuid
from typing import Any
from urllib.parse import urlsplit

from assets.platform import Platform
from assets.results.pace import wait_for_turn
from core.database import Database
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.forge.tracker import Tracker, TrackerForge
from core.git.fates import Fate
from core.states import PublicationState, TaskState
from core.tasks import Task
from core.teams import DEFAULT_TEAM
from core.ticket_statuses import Stage, TicketStatus, status_for
from core.tickets import TRACKERS


class NoTracker(PublicationRefused):
    """The place is not set up for writing: nobody can be asked, and nothing said, there."""


def split_place(place: str) -> tuple[str, str] | None:
    """Service and project of a place, if it is a tracker's."""
    service, _, project = place.partition(":")
    return (service, project) if service in TRACKERS and project else None


def linked_places(platform: Platform, team_id: uuid.UUID, source: str) -> list[str]:
    """The trackers' projects that are linked to a source."""
    with platform.database.team(team_id) as connection:
        rows = connection.execute(
            "SELECT service || ':' || project FROM ticket_projects WHERE source = %s AND service = ANY(%s) ORDER BY 1",
            (source, list(TRACKERS)),
        ).fetchall()
    return [str(row[0]) for row in rows]


def open_tracker(platform: Platform, team_id: uuid.UUID, source: str, place: str) -> TrackerForge:
    """The forge of a tracker's project. Raises `NoTracker` if it is not linked to the source with an address, or there
    is no token for it."""
    found = split_place(place)
    if found is None:
        raise NoTracker(f"{place[:100]} is not a tracker's project")
    service, project = found
    with platform.database.team(team_id) as connection:
        row = connection.execute(
            "SELECT address FROM ticket_projects WHERE (service, project, source) = (%s, %s, %s)",
            (service, project, source),
        ).fetchone()
    if row is None:
        raise NoTracker(f"{place} is not linked to source {source!r}: `penstock tickets link`")
    token = getattr(platform.settings, f"{service}_token", None)
    if token is None or team_id != DEFAULT_TEAM:
        raise NoTracker(f"there is no token for {service}: set PENSTOCK_{service.upper()}_TOKEN")
    tracker = _tracker(service, row[0], project, token.get_secret_value())
    account = f"{service} {row[0]} {team_id}"
    return TrackerForge(
        tracker,
        before_write=lambda: wait_for_turn(platform.database, account, platform.settings.forge_write_seconds),
    )


def _tracker(service: str, address: str | None, project: str, token: str) -> Tracker:
    setting = f"PENSTOCK_{service.upper()}_TOKEN"
    if address is not None and not _is_encrypted(address):
        raise PublicationRefused(f"the token for {service} is sent by https only, and {address} is not")
    if service == "jira" and address is not None:
        from core.forge.jira import JiraTracker

        return JiraTracker(address, project, lambda: token, setting=setting)
    if service == "linear":
        from core.forge.linear import ADDRESS, LinearTracker

        return LinearTracker(address or ADDRESS, project, lambda: token, setting=setting)
    if service == "slack":
        from core.forge.slack import SlackTracker

        return SlackTracker(address, project, lambda: token)
    raise NoTracker(f"results cannot be shown at {service}")


def _is_encrypted(address: str) -> bool:
    """Whether nobody on the way can read a token that is sent there: https, or this machine."""
    place = urlsplit(address)
    return place.scheme == "https" or place.hostname in ("127.0.0.1", "::1", "localhost")


def shows_reports(platform: Platform, task: Task, place: str) -> bool:
    """Whether the report of a task without a patch is written at the tracker that its ticket is of."""
    if split_place(place) is None:
        return False
    try:
        open_tracker(platform, task.team_id, task.source, place)
    except PublicationRefused:
        return False
    return True


def show_progress(
    database: Database, forge: TrackerForge, row: dict[str, Any], statuses: tuple[TicketStatus, ...]
) -> None:
    """Links a task's ticket to what was published, and moves it to the status of the stage that the task has come to;
    each at most once. `row` is as for `status_text`. Raises `ForgeUnavailable`."""
    steps: dict[str, Any] = {}
    publication = row["publication"] or {}
    location = publication.get("location")
    published = publication.get("state") == PublicationState.PUBLISHED and publication.get("patch_sha256")
    if published and location and location.startswith(("https://", "http://")):
        steps[location[:500]] = lambda: _linked(forge, row["ticket_key"], location)
    stage = _stage(row, bool(published))
    wanted = status_for(statuses, stage, forge.target.partition(":")[2]) if stage else None
    if stage and wanted:
        steps[stage] = lambda: forge.move(row["ticket_key"], wanted)
    trouble: ForgeUnavailable | None = None
    for step, do in steps.items():
        try:
            _once(database, row, step, do)
        except ForgeUnavailable as error:  # a link that fails keeps no ticket from being moved
            trouble = error
    if trouble is not None:
        raise trouble


def _linked(forge: TrackerForge, ticket: str, location: str) -> str:
    forge.link(ticket, location, "Penstock's patch")
    return "linked"


def _stage(row: dict[str, Any], published: bool) -> Stage | None:
    fate = (row["publication"] or {}).get("fate")
    if published and fate in (Fate.UNCHANGED, Fate.CHANGED):
        return Stage.MERGED
    if published and fate in (None, Fate.OPEN):
        return Stage.PROPOSED
    return Stage.STARTED if row["state"] == TaskState.RUNNING else None


def _once(database: Database, row: dict[str, Any], step: str, do: Any) -> None:
    key = (row["task_id"], step)
    with database.system() as connection:
        held = connection.execute("SELECT outcome FROM ticket_steps WHERE (task_id, step) = (%s, %s)", key).fetchone()
    if held is not None:
        return
    try:
        outcome = do()
    except PublicationRefused as refusal:  # the ticket stays as it is; its comment says how the task stands
        outcome = str(refusal)
    with database.system() as connection:
        connection.execute(
            "INSERT INTO ticket_steps (team_id, task_id, step, outcome) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (row["team_id"], *key, outcome[:500]),
        )
