"""Files that messages mention, found in the context index: of which source they are, at which commit, their lines."""

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

_LINES = """
SELECT c.start_line, c.text FROM source_files f
JOIN chunks c ON c.team_id = f.team_id AND c.content_id = f.content_id
JOIN LATERAL (SELECT max(v.version) AS version FROM index_versions v WHERE v.team_id = f.team_id AND v.source = f.source
    AND starts_with(v.commit, %(commit)s) AND v.visible_at IS NOT NULL) AS at
    ON f.since <= at.version AND (f.until IS NULL OR f.until > at.version)
WHERE f.source = %(source)s AND f.path = %(path)s AND c.end_line >= %(first)s AND c.start_line <= %(last)s
ORDER BY c.start_line LIMIT %(most)s
"""
MOST_LINES = 200
"""Of a file, at a time."""


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


def read_lines(
    database: Database, team: uuid.UUID, *, source: str, path: str, commit: str, first: int, last: int
) -> list[str]:
    """Lines `first` to `last` of a file, counted from 1, at most `MOST_LINES`, as the index had it at a commit (whole
    or abbreviated). Empty if the index does not have that file or these lines of it, or not at that commit any more."""
    last = min(last, first + MOST_LINES - 1)
    asked = {"source": source, "path": path, "commit": commit, "first": first, "last": last, "most": MOST_LINES}
    with database.team(team) as connection:
        rows = connection.execute(_LINES.encode(), asked).fetchall()
    return [
        line
        for start, text in rows
        for number, line in enumerate(str(text).split("\n"), start)
        if first <= number <= last
    ]


def _mentions(mutations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [mention for one in mutations for mention in one.get("body", {}).get("mentions", ())]
