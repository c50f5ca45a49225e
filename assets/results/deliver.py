"""Does at forges what is due, with the platform's settings: people's commands and answers, questions, results, the
status comments that mention them, what people say about pull requests, and failed checks of watched branches. Then
tells the channels of notices how tasks have ended."""

import uuid
from dataclasses import dataclass, field

from assets.platform import Platform
from assets.results.channels import tell
from assets.results.feedback import Followed
from assets.results.follow_ups import follow_up_due
from assets.results.forges import open_forge_for
from assets.results.holds import reason_to_hold
from assets.results.moved_base import on_current_base
from assets.results.notices import Told
from assets.results.publish import OpenForge, Published, publish_due
from assets.results.questions import Asked, Heard, ask_due, hear_due
from assets.results.status_comments import Written, write_due_comments
from assets.results.ticket_commands import Obeyed, obey_due
from assets.results.trackers import open_tracker, split_place
from assets.results.watched_checks import Looked, look_due
from core.forge.protocol import Forge, Publication
from core.ticket_statuses import read_statuses


@dataclass(frozen=True)
class Delivered:
    """What was tried."""

    commands: list[Obeyed] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    comments: list[Written] = field(default_factory=list)
    followed: list[Followed] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)

    def lines(self) -> list[str]:
        """One line for each, for a log."""
        return [
            *(f"/penstock {one.command}: {one.state}, {one.outcome.partition(chr(10))[0]}" for one in self.commands),
            *(f"{one.target}: {one.state} {one.location or one.error}" for one in self.published),
            *(f"remark {one.id}: {one.state}, {one.outcome.partition(chr(10))[0]}" for one in self.followed),
            *(f"status comment of task {one.task_id}: {one.location or one.error or '-'}" for one in self.comments),
            *(f"failed checks of {one.branch}: {one.state}, {one.outcome}" for one in self.looked),
            *(f"question of task {one.task_id}: {one.location or one.error or '-'}" for one in self.asked),
            *(f"answer {one.id}: {one.state}, {one.outcome}" for one in self.heard),
            *(f"{one.channel} {one.id}: {one.state} {one.error or ''}" for one in self.told),
        ]


def deliver(platform: Platform, task_id: uuid.UUID | None = None) -> Delivered:
    """Tries everything that is due, or what is due of one task. Does nothing while publishing is switched off."""
    if not platform.settings.publishing:
        return Delivered()
    opened: dict[tuple[uuid.UUID, str, str], Forge] = {}

    def open_forge(team_id: uuid.UUID, source: str, place: str = "") -> Forge:
        place = place if split_place(place) else ""
        if (team_id, source, place) not in opened:
            opened[team_id, source, place] = (
                open_tracker(platform, team_id, source, place) if place else open_forge_for(platform, team_id, source)
            )
        return opened[team_id, source, place]

    def hold(team: uuid.UUID, source: str, publication: Publication) -> str | None:
        return reason_to_hold(platform, team, source, publication)

    commands = obey_due(platform.database, platform.log, open_forge) if task_id is None else []

    anyone = platform.settings.who_may_start == "anyone"
    heard = hear_due(platform.database, platform.log, open_forge, anyone=anyone) if task_id is None else []
    asked = ask_due(platform.database, open_forge, task_id=task_id)

    def prepare(team: uuid.UUID, forge: Forge, publication: Publication) -> Publication:
        return on_current_base(platform.database, platform.log, team, forge, publication)

    published = publish_due(platform.database, open_forge, task_id=task_id, hold=hold, prepare=prepare)
    statuses = read_statuses(platform.settings.ticket_statuses)
    comments = write_due_comments(platform.database, open_forge, task_id=task_id, statuses=statuses)
    followed = follow_up_due(platform.database, platform.log, open_forge) if task_id is None else []
    looked = _look(platform, open_forge) if task_id is None else []
    told = tell(platform) if task_id is None else []
    return Delivered(commands, published, comments, followed, looked, told, asked, heard)


def _look(platform: Platform, open_forge: OpenForge) -> list[Looked]:
    settings = platform.settings
    return look_due(platform.database, platform.log, open_forge, settings.rules, backlog=settings.backlog)
