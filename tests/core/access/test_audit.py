"""The audit log, on a real database: complete, append-only, and each team's own."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from core.access.audit import Actor, Outcome, audited, list_entries, record
from core.access.errors import Conflict
from core.access.teams import add_team
from core.database import Database
from core.database.embedded import EmbeddedServer
from core.events import DEFAULT_TEAM

TOKEN = Actor("token", "ci", "7f", person="ada@example.org")


def _entries(database: Database, team: uuid.UUID = DEFAULT_TEAM, **wanted: Any) -> list[Any]:
    with database.team(team) as connection:
        return list_entries(connection, **wanted)


def test_what_was_done_and_its_entry_are_stored_together_or_not_at_all(database: Database) -> None:
    with audited(database, DEFAULT_TEAM, TOKEN, "team.test", "x", "r-1") as connection:
        connection.execute("INSERT INTO users (team_id, name, role) VALUES (%s, 'ada', 'viewer')", (DEFAULT_TEAM,))
    with pytest.raises(Conflict), audited(database, DEFAULT_TEAM, TOKEN, "team.test", "y") as connection:
        connection.execute("DELETE FROM users")
        raise Conflict("because")
    with pytest.raises(ZeroDivisionError), audited(database, DEFAULT_TEAM, TOKEN, "team.test", "z") as connection:
        connection.execute("DELETE FROM users")
        raise ZeroDivisionError
    assert [(e.subject, e.outcome, e.detail, e.request_id) for e in _entries(database)] == [
        ("y", "failed", "because", None),
        ("x", "done", None, "r-1"),
    ]
    assert {(e.actor_kind, e.actor, e.actor_id, e.person) for e in _entries(database)} == {
        ("token", "ci", "7f", "ada@example.org")
    }
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT name FROM users").fetchall() == [("ada",)]


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET outcome = 'done'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
def test_no_role_changes_or_deletes_an_entry(
    database: Database, postgres_server: EmbeddedServer, database_name: str, statement: str
) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        record(connection, DEFAULT_TEAM, TOKEN, "team.test", "x", Outcome.REFUSED)
    for transaction in (database.team(DEFAULT_TEAM), database.system()):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="denied"), transaction as connection:
            connection.execute(statement.encode())
    owner = postgres_server.url(database_name, owner=True)
    for role in ("RESET ROLE", "SET ROLE penstock_owner"):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
            psycopg.connect(owner, options="-c search_path=penstock,public") as connection,
        ):
            connection.execute(role.encode())
            connection.execute(statement.encode())
    assert [e.outcome for e in _entries(database)] == ["refused"]


def test_a_team_reads_and_adds_only_its_own_entries(database: Database) -> None:
    with database.system() as connection:
        acme = add_team(connection, "acme").id
        record(connection, acme, TOKEN, "team.add", "acme")
    assert (_entries(database), [e.subject for e in _entries(database, acme)]) == ([], ["acme"])
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.team(DEFAULT_TEAM) as connection:
        record(connection, acme, TOKEN, "team.test", "forged")


def test_entries_are_listed_newest_first_by_page_and_period(database: Database) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        for number in range(5):
            record(connection, DEFAULT_TEAM, TOKEN, "team.test", number)
    first = _entries(database, limit=3)
    rest = _entries(database, limit=3, before=first[-1].id)
    assert [e.subject for e in [*first, *rest]] == ["4", "3", "2", "1", "0"]
    assert [e.subject for e in _entries(database, since=first[1].at)] == ["4", "3"]
    assert _entries(database, since=datetime.now(UTC) + timedelta(hours=1)) == []


def test_text_of_any_length_and_form_is_recorded_on_one_line(database: Database) -> None:
    nasty = "a\x00b\n\x1b[31m" + "x" * 1000
    with database.team(DEFAULT_TEAM) as connection:
        actor = Actor("forge", nasty, nasty, nasty)
        record(connection, DEFAULT_TEAM, actor, nasty, nasty, Outcome.FAILED, nasty, nasty)
    [entry] = _entries(database)
    for text in (
        entry.actor,
        entry.actor_id,
        entry.person,
        entry.action,
        entry.subject,
        entry.detail,
        entry.request_id,
    ):
        assert text.startswith("a b  [31m") and text.endswith("…") and text.isprintable()
