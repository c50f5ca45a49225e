"""A file in the context index, without a repository."""

import uuid

from core.database import Database
from core.events import DEFAULT_TEAM


def index_file(
    database: Database,
    path: str,
    *texts: str,
    source: str = "shop",
    team: uuid.UUID = DEFAULT_TEAM,
) -> None:
    """Versions 1, 2, … of a source, at the commits `aa…`, `bb…`, …, with one file of these texts, cut in chunks of two
    lines."""
    with database.team(team) as connection:
        own = (team, source)
        connection.execute("INSERT INTO sources (team_id, name, location) VALUES (%s, %s, '/x')", own)
        for version, text in enumerate(texts, 1):
            commit = "abcdef"[version - 1] * 40
            connection.execute(
                "INSERT INTO index_versions (team_id, source, version, commit, branch, config, files, chunks, skipped, "
                "visible_at) VALUES (%s, %s, %s, %s, 'main', '', 1, 1, 0, now())",
                (*own, version, commit),
            )
            row = connection.execute(
                "INSERT INTO contents (team_id, blob, chunker, lengths, segment, first_slot) "
                "VALUES (%s, %s, 'x', '{}', 1, 0) RETURNING id",
                (team, commit.encode()),
            ).fetchone()
            assert row is not None
            lines = text.splitlines()
            for chunk, start in enumerate(range(0, len(lines), 2)):
                part = lines[start : start + 2]
                connection.execute(
                    "INSERT INTO chunks VALUES (%s, %s, %s, 'window', '', '', '', %s, %s, %s)",
                    (team, row[0], chunk, start + 1, start + len(part), "\n".join(part)),
                )
            connection.execute(
                "INSERT INTO source_files (team_id, source, path, since, until, mode, blob, content_id) "
                "VALUES (%s, %s, %s, %s, %s, '100644', '', %s)",
                (*own, path, version, version + 1 if version < len(texts) else None, row[0]),
            )
        connection.execute("INSERT INTO source_indexes VALUES (%s, %s, %s)", (*own, len(texts)))
