"""Asks a source's forge whether checks fail at the head of its branch, for sweeps."""

import uuid

from assets.platform import Platform
from assets.results.forges import find_destination, open_hosted
from core.watched_checks import Head, is_noted


def failing_head(platform: Platform, team_id: uuid.UUID, source: str) -> Head | None:
    """The head of the branch that a source's results are for, if a rule names that branch, checks of it fail at this
    moment, and it was not reported before. Raises `ForgeUnavailable`, `PublicationRefused`."""
    found = find_destination(platform, team_id, source)
    if found.forge is None or found.repository is None:
        return None
    forge = open_hosted(platform, found)
    branch = forge.base_branch
    if platform.settings.rules.watching(branch, found.forge, found.repository) is None:
        return None
    commit = forge.head_of(branch)
    if commit is None:
        return None
    head = Head(source, found.forge, found.repository, branch, commit)
    with platform.database.team(team_id) as connection:
        if is_noted(connection, head):
            return None
    return head if forge.failed_checks(commit, None).failed else None
