"""Teams, their users and tokens, on a real database."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from core.access.errors import BadName, Conflict, NotFound
from core.access.names import moment
from core.access.people import Person, memberships
from core.access.roles import Role, least
from core.access.teams import add_team, list_teams, remove_team, show_team, team_id
from core.access.tokens import check_token, create_token, find_token, list_tokens, revoke_token
from core.access.users import add_user, list_users, remove_user, set_role
from core.credentials import token_hash
from core.database import Database
from core.events import DEFAULT_TEAM

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def acme(database: Database) -> uuid.UUID:
    with database.system() as connection:
        return add_team(connection, "acme").id


def _token(database: Database, team: uuid.UUID, **wanted: Any) -> str:
    with database.team(team) as connection:
        return create_token(connection, team, wanted.pop("name", "ci"), **wanted)[1]


def _role(database: Database, token: str) -> Role | None:
    with database.system() as connection:
        holder = check_token(connection, token)
    return holder.role if holder else None


def test_a_role_allows_what_lower_ones_do() -> None:
    allowed = {(one, other) for one in Role for other in Role if one.allows(other)}
    viewer, operator, admin = Role
    assert allowed == {(role, role) for role in Role} | {(operator, viewer), (admin, viewer), (admin, operator)}
    assert [least(admin, operator), least(viewer, admin)] == [operator, viewer]


def test_a_team_is_found_by_its_name_in_any_case_of_letters(database: Database, acme: uuid.UUID) -> None:
    with database.system() as connection:
        assert team_id(connection, "ACME") == acme
        assert team_id(connection, "default") == DEFAULT_TEAM
        assert [team.name for team in list_teams(connection)] == ["acme", "default"]
        with pytest.raises(NotFound, match=r"'acm'.*team list"):
            team_id(connection, "acm")


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "a/b", "x" * 64, "é", "a\n", "../x"])
def test_a_name_that_no_team_can_have_is_refused(database: Database, name: str) -> None:
    with pytest.raises(BadName, match="1 to 63 letters"), database.system() as connection:
        add_team(connection, name)


def test_two_teams_cannot_have_one_name(database: Database, acme: uuid.UUID) -> None:
    with pytest.raises(Conflict, match="already"), database.system() as connection:
        add_team(connection, "Acme")


def _add_source(database: Database, team: uuid.UUID) -> None:
    with database.team(team) as connection:
        connection.execute("INSERT INTO sources (team_id, name, location) VALUES (%s, 'shop', '/srv/shop')", (team,))


def _add_task(database: Database, team: uuid.UUID) -> uuid.UUID:
    task = uuid.uuid4()
    with database.team(team) as connection:
        connection.execute(
            "INSERT INTO tasks (team_id, id, event_id, source, title) VALUES (%s, %s, %s, 'shop', 't')",
            (team, task, str(task)),
        )
    return task


def test_a_team_with_sources_or_open_tasks_stays_and_says_so(database: Database, acme: uuid.UUID) -> None:
    _add_source(database, acme)
    task = _add_task(database, acme)
    with pytest.raises(Conflict, match="1 source and 1 open task"), database.system() as connection:
        remove_team(connection, "acme")
    with database.team(acme) as connection:
        connection.execute("DELETE FROM sources")
    with pytest.raises(Conflict, match="0 sources and 1 open task"), database.system() as connection:
        remove_team(connection, "acme")
    with database.team(acme) as connection:
        connection.execute("UPDATE tasks SET state = 'cancelled' WHERE id = %s", (task,))
    with database.system() as connection:
        assert remove_team(connection, "acme").id == acme


def test_what_a_team_is_given_while_it_is_removed_is_waited_for(database: Database, acme: uuid.UUID) -> None:
    with database.team(acme) as giver:
        giver.execute("INSERT INTO sources (team_id, name, location) VALUES (%s, 'shop', '/srv/shop')", (acme,))
        with pytest.raises(psycopg.errors.LockNotAvailable), database.system() as connection:
            connection.execute("SET LOCAL lock_timeout = '100ms'")
            remove_team(connection, "acme")
    with pytest.raises(Conflict, match="1 source "), database.system() as connection:
        remove_team(connection, "acme")


def test_a_removed_team_has_no_users_and_tokens_and_its_name_is_free_again(database: Database, acme: uuid.UUID) -> None:
    token = _token(database, acme)
    with database.team(acme) as connection:
        add_user(connection, acme, "ada", Role.ADMIN)
    with database.system() as connection:
        remove_team(connection, "acme")
        with pytest.raises(NotFound):
            show_team(connection, "acme")
    assert _role(database, token) is None
    with database.team(acme) as connection:
        assert list_users(connection) == []
        assert [one.state for one in list_tokens(connection, everything=True)] == ["revoked"]
    with database.system() as connection:
        again = add_team(connection, "acme")
        assert (again.id == acme, again.tokens) == (False, 0)


def test_the_default_team_stays(database: Database) -> None:
    with pytest.raises(Conflict, match="webhooks"), database.system() as connection:
        remove_team(connection, "default")


def test_only_the_hash_of_a_token_is_stored(database: Database, acme: uuid.UUID) -> None:
    token = _token(database, acme, role=Role.OPERATOR)
    with database.system() as connection:
        rows = connection.execute("SELECT t::text, token_sha256 FROM api_tokens t").fetchall()
    assert [row[1] for row in rows] == [token_hash(token)]
    assert token not in rows[0][0] and token.removeprefix("pst_") not in rows[0][0]
    assert _role(database, token) == Role.OPERATOR


def test_a_token_is_valid_until_it_expires_or_is_revoked(database: Database, acme: uuid.UUID) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    one, other = _token(database, acme, expires_at=later), _token(database, acme, name="other")
    assert [_role(database, token) for token in (one, other)] == [Role.VIEWER] * 2
    with database.team(acme) as connection:
        connection.execute("UPDATE api_tokens SET expires_at = now() WHERE name = 'ci'")
        revoked = revoke_token(connection, find_token(connection, "OTHER").id)
        assert revoke_token(connection, revoked.id) == revoked
    assert [_role(database, token) for token in (one, other, f"{one}x")] == [None] * 3
    with database.team(acme) as connection:
        assert list_tokens(connection) == []
        assert [token.state for token in list_tokens(connection, everything=True)] == ["expired", "revoked"]


def test_the_last_use_is_noted_to_the_minute_and_written_once_in_it(database: Database, acme: uuid.UUID) -> None:
    token = _token(database, acme)

    def used() -> Any:
        _role(database, token)
        with database.team(acme) as connection:
            return connection.execute("SELECT last_used_at, xmin::text FROM api_tokens").fetchone()

    at, _ = used()
    assert at.second == at.microsecond == 0
    for ago, written in (("2 minutes", True), ("-1 hour", False)):  # in the future, whatever the clock does meanwhile
        with database.team(acme) as connection:
            connection.execute("UPDATE api_tokens SET last_used_at = now() - %s::interval", (ago,))
            before = connection.execute("SELECT xmin::text FROM api_tokens").fetchone()
        assert before and (used()[1] != before[0]) == written


def test_a_token_of_a_user_allows_no_more_than_the_user_may(database: Database, acme: uuid.UUID) -> None:
    with database.team(acme) as connection:
        add_user(connection, acme, "Ada@example.org", Role.OPERATOR)
    token = _token(database, acme, user="ada@example.org")
    assert _role(database, token) == Role.OPERATOR
    with pytest.raises(BadName, match="has the role operator"):
        _token(database, acme, name="more", user="ada@example.org", role=Role.ADMIN)
    with database.team(acme) as connection:
        set_role(connection, "ada@example.org", Role.VIEWER)
    assert _role(database, token) == Role.VIEWER
    with database.team(acme) as connection:
        set_role(connection, "ada@example.org", Role.ADMIN)
    assert _role(database, token) == Role.OPERATOR, "no more than the token was made for"
    with database.team(acme) as connection:
        assert remove_user(connection, "ada@example.org").tokens == 1
    assert _role(database, token) is None


def test_a_token_is_found_by_its_id_the_beginning_of_it_its_name_or_itself(database: Database, acme: uuid.UUID) -> None:
    token = _token(database, acme, name="deploy bot")
    with database.team(acme) as connection:
        [found] = list_tokens(connection)
        for text in (str(found.id), str(found.id)[:8].upper(), "Deploy Bot", token):
            assert find_token(connection, text) == found
        for text in ("deploy", str(found.id)[:3], "", f"{token}x"):
            with pytest.raises(NotFound) as refused:
                find_token(connection, text)
            assert "pst_" not in str(refused.value)


def test_an_ambiguous_name_of_a_token_is_refused_with_the_ids(database: Database, acme: uuid.UUID) -> None:
    _token(database, acme)
    with pytest.raises(Conflict, match="valid token 'CI' already"):
        _token(database, acme, name="CI")
    _token(database, acme, name="second")
    with database.team(acme) as connection:
        connection.execute("UPDATE api_tokens SET name = 'first start'")
        ids = [str(token.id) for token in list_tokens(connection)]
        with pytest.raises(NotFound, match="2 tokens match 'first start'") as refused:
            find_token(connection, "first start")
        assert all(one in str(refused.value) for one in ids)
        revoke_token(connection, uuid.UUID(ids[0]))
        assert str(find_token(connection, "first start").id) == ids[1], "only one of them is valid"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "\x1b[31m"])
def test_a_name_that_cannot_be_shown_is_refused(database: Database, acme: uuid.UUID, name: str) -> None:
    with pytest.raises(BadName, match="printable"):
        _token(database, acme, name=name)
    with pytest.raises(BadName, match="printable"), database.team(acme) as connection:
        add_user(connection, acme, name * 2, Role.VIEWER)


def test_users_of_one_name_belong_to_different_teams(database: Database, acme: uuid.UUID) -> None:
    for team in (acme, DEFAULT_TEAM):
        with database.team(team) as connection:
            add_user(connection, team, "ada", Role.VIEWER)
            with pytest.raises(Conflict, match="already"), connection.transaction():
                add_user(connection, team, "ADA", Role.ADMIN)
            assert [user.name for user in list_users(connection)] == ["ada"]
            with pytest.raises(NotFound, match="no user 'bob'"):
                set_role(connection, "bob", Role.ADMIN)


def test_a_person_has_the_highest_role_of_their_groups_and_users_in_each_team(
    database: Database, acme: uuid.UUID
) -> None:
    roles = {"dev": "operator", "boss": "ACME/viewer", "gone": "nowhere/admin", "other": "admin"}
    with database.team(acme) as connection:
        add_user(connection, acme, "ada@example.org", Role.OPERATOR)
    with database.system() as connection:

        def of(user: str | None, *groups: str) -> dict[str, str]:
            found = memberships(connection, Person("u-1", user, frozenset(groups)), roles)
            return {one.team: one.role for one in found}

        assert of("ADA@example.org", "dev", "boss", "gone") == {"acme": "operator", "default": "operator"}
        assert of(None, "boss") == {"acme": "viewer"}
        assert of(None, "gone", "unknown") == {}
        remove_team(connection, "acme")
        assert of("ada@example.org", "boss") == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", NOW + timedelta(days=90)),
        ("30min", NOW + timedelta(minutes=30)),
        ("2w", NOW + timedelta(weeks=2)),
        ("2030-02-01", datetime(2030, 2, 1, tzinfo=UTC)),
        ("2030-02-01T12:00+02:00", datetime(2030, 2, 1, 10, tzinfo=UTC)),
    ],
)
def test_periods_and_dates_are_read(text: str, expected: datetime) -> None:
    assert moment(text, "expires", NOW, past=False) == expected


@pytest.mark.parametrize(
    "text", ["", "d", "0d", "-1d", "4000d", "90", "1y", "2030-01-30", "2999-01-01", "never", "9" * 99]
)
def test_a_period_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        moment(text, "expires", NOW, past=False)
