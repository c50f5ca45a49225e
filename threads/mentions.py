"""Files that messages mention, found in the context index: of which source they are, and at which commit."""

import uuid
from collections.abc import Sequence
from typing import Any

from core.database import Database

_FIND = """
SELECT f.path, f.source, v.commit FROM source_files f
JOIN source_indexes i ON i.team_id = f.team_id AND i.source = f.source
JOIN index_versions v ON v.team_id = i.team_id AND v.source = i.source AND v.version = i.version
WHERE f.path = ANY(%s) AND f.since <= i.version AND (f.until IS NULL OR f.until > i.version)
"""


def are_open(mutations: Sequence[dict[str, Any]]) -> bool:
    """Whether a mention leaves its commit to the index."""
    return any("commit" not in mention for mention in _mentions(mutations))


def resolve(database: Database, team: uuid.UUID, mutations: Sequence[dict[str, Any]]) -> None:
    """Adds source and commit to mentions without a commit: of the index as it is now, if one source of the team, or
    the one that is named, has the path. Others stay as they are."""
    wanted = [mention for mention in _mentions(mutations) if "commit" not in mention]
    with database.team(team) as connection:
        rows = connection.execute(_FIND, (sorted({mention["path"] for mention in wanted}),)).fetchall()
    for mention in wanted:
        found = [
            (source, commit)
            for path, source, commit in rows
            if path == mention["path"] and mention.get("source") in (None, source)
        ]
        if len(found) == 1:
            mention["source"], mention["commit"] = found[0]


def _mentions(mutations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [mention for one in mutations for mention in one.get("body", {}).get("mentions", ())]
