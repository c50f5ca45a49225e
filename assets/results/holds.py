"""Which publications wait for a person's approval, and why."""

import uuid
from fnmatch import fnmatchcase

from assets.platform import Platform
from assets.results.forges import distrust, open_forge_for
from core.forge.hosted import HostedForge
from core.forge.protocol import Publication
from core.patch_paths import touched_paths
from core.tasks import get_task
from core.work import VerdictKind

_OTHERS = """
SELECT t.key, t.url FROM tickets t JOIN sources s ON (s.team_id, s.name) = (t.team_id, t.source)
WHERE t.source = %(source)s AND (t.service, t.project) = (s.forge, s.repository) AND t.kind = 'pull request'
    AND t.state = 'open' AND t.deleted_at IS NULL AND NOT t.hidden AND %(key)s = ANY (t.closes)
    AND NOT EXISTS (SELECT FROM publications p WHERE p.location = t.url)
ORDER BY t.key LIMIT 3
"""


def reason_to_hold(platform: Platform, team_id: uuid.UUID, source: str, publication: Publication) -> str | None:
    """Why a patch needs approval: a rule of the settings, a permission that was withdrawn meanwhile, or somebody's open
    pull request for the same ticket. Raises `ForgeUnavailable`, `PublicationRefused`."""
    settings = platform.settings
    if publication.patch is None:
        return None
    if settings.approval == "all":
        return "every patch needs approval (setting approval)"
    if settings.approval == "drafts" and publication.verdict.verdict is VerdictKind.DRAFT:
        return "drafts need approval (setting approval)"
    if protected := protected_among(touched_paths(publication.patch.diff), settings.protected_paths):
        return f"it changes {protected}, which needs approval (setting protected_paths)"
    if publication.ticket is None:
        return None
    with platform.database.team(team_id) as connection:
        task = get_task(connection, publication.task_id)
    if (reason := distrust(platform, task)) is not None:
        return reason
    with platform.database.team(team_id) as connection:
        others = connection.execute(_OTHERS, {"source": source, "key": publication.ticket}).fetchall()
    if others and not _begun(platform, team_id, source, publication):
        listed = ", ".join(f"{key} ({url})" if url else str(key) for key, url in others)
        return f"{listed} is an open pull request for {publication.ticket} already"
    return None


def _begun(platform: Platform, team_id: uuid.UUID, source: str, publication: Publication) -> bool:
    """Whether the other pull request may be our own, which a killed process opened and could not note."""
    forge = open_forge_for(platform, team_id, source)
    return isinstance(forge, HostedForge) and forge.has_begun(publication)


def protected_among(paths: tuple[str, ...], patterns: tuple[str, ...]) -> str | None:
    """The first path that a pattern matches, whatever its letters' case: file systems may not tell them apart."""
    lower = [pattern.lower() for pattern in patterns]
    return next((path for path in paths if any(fnmatchcase(path.lower(), pattern) for pattern in lower)), None)
