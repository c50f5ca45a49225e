"""A database from before there were roles."""

from pathlib import Path

import psycopg

from core.access.teams import list_teams
from core.access.tokens import check_token, list_tokens
from core.credentials import token_hash
from core.database import Database
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import MIGRATIONS, upgrade
from core.events import DEFAULT_TEAM

ACCESS = 12
"""The number of the migration that brings roles."""


def test_tokens_from_before_there_were_roles_can_still_do_everything(
    postgres_server: EmbeddedServer, tmp_path: Path
) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        if int(path.name[:4]) < ACCESS:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    postgres_server.ensure_database("before_roles")
    owner = postgres_server.url("before_roles", owner=True)
    upgrade(owner, login=LOGIN, folder=tmp_path)
    with psycopg.connect(owner, options="-c search_path=penstock,public") as connection:
        connection.execute(
            "INSERT INTO api_tokens (team_id, token_sha256, name) VALUES (%s, %s, 'first start')",
            (DEFAULT_TEAM, token_hash("pst_old")),
        )
    assert any(name.startswith(f"{ACCESS:04d}_") for name in upgrade(owner, login=LOGIN))
    database = Database(postgres_server.url("before_roles"))
    try:
        with database.system() as connection:
            holder = check_token(connection, "pst_old")
            assert holder is not None and (holder.role, holder.name, holder.user) == ("admin", "first start", None)
            assert [team.name for team in list_teams(connection)] == ["default"]
        with database.team(DEFAULT_TEAM) as connection:
            # A process of the version before may still write one, without a role.
            connection.execute(
                "INSERT INTO api_tokens (team_id, token_sha256, name) VALUES (%s, %s, 'late')",
                (DEFAULT_TEAM, token_hash("pst_late")),
            )
            assert [(token.name, token.role) for token in list_tokens(connection)] == [
                ("first start", "admin"),
                ("late", "viewer"),
            ]
    finally:
        database.close()
