"""Publishes what is due with the platform's settings: results first, then the status comments that mention them."""

import uuid

from assets.platform import Platform
from assets.results.forges import open_forge_for
from assets.results.holds import reason_to_hold
from assets.results.publish import Published, publish_due
from assets.results.status_comments import Written, write_due_comments
from core.forge.protocol import Forge, Publication


def deliver(platform: Platform, task_id: uuid.UUID | None = None) -> tuple[list[Published], list[Written]]:
    """Tries everything that is due, or what is due of one task. Does nothing while publishing is switched off."""
    if not platform.settings.publishing:
        return [], []
    opened: dict[tuple[uuid.UUID, str], Forge] = {}

    def open_forge(team: uuid.UUID, source: str) -> Forge:
        if (team, source) not in opened:
            opened[team, source] = open_forge_for(platform, team, source)
        return opened[team, source]

    def hold(team: uuid.UUID, source: str, publication: Publication) -> str | None:
        return reason_to_hold(platform.database, platform.settings, team, source, publication)

    published = publish_due(platform.database, open_forge, task_id=task_id, hold=hold)
    return published, write_due_comments(platform.database, open_forge, task_id=task_id)
