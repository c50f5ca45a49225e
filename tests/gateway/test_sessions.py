"""Sessions of programs: short access tokens, and refresh tokens that are worth something once."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.access import sessions
from core.access.roles import Role
from core.access.users import add_user, remove_user, set_role
from core.database import Database
from core.events import DEFAULT_TEAM

Header = dict[str, str]
TokenFor = Callable[..., Header]


def _bearer(token: str) -> Header:
    return {"Authorization": f"Bearer {token}"}


def _start(client: TestClient, headers: Header) -> dict[str, Any]:
    answer = client.post("/sessions", headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _refresh(client: TestClient, token: str) -> Any:
    return client.post("/sessions/refresh", json={"refresh_token": token})


def _later(database: Database, minutes: float) -> None:
    """Lets time pass for every session."""
    with database.system() as connection:
        past = timedelta(minutes=minutes)
        connection.execute(
            "UPDATE session_tokens SET expires_at = expires_at - %s, replaced_at = replaced_at - %s", (past, past)
        )
        connection.execute(
            "UPDATE sessions SET used_at = used_at - %s, created_at = created_at - %s, expires_at = expires_at - %s",
            (past, past, past),
        )


def test_an_access_token_allows_what_its_api_token_allows_for_15_minutes(
    client: TestClient, token_for: TokenFor, database: Database
) -> None:
    made = _start(client, token_for("operator"))
    assert (made["expires_in"], made["token_type"]) == (900, "Bearer")
    headers = _bearer(made["access_token"])
    assert client.get("/tasks", headers=headers).status_code == 200
    assert client.post(f"/tasks/{uuid.uuid4()}/cancel", headers=headers).status_code == 404
    assert client.get("/audit", headers=headers).json()["role"] == "admin"
    assert client.get("/tasks", headers=_bearer(made["refresh_token"])).status_code == 401
    _later(database, 15)
    assert client.get("/tasks", headers=headers).status_code == 401


def test_a_refresh_gives_the_next_pair_and_the_session_goes_on(
    client: TestClient, token_for: TokenFor, database: Database
) -> None:
    made = _start(client, token_for("viewer"))
    for _ in range(3):
        _later(database, 20)
        again = _refresh(client, made["refresh_token"])
        assert again.status_code == 200, again.text
        assert again.json()["session"] == made["session"]
        made = again.json()
        assert client.get("/tasks", headers=_bearer(made["access_token"])).status_code == 200


def test_a_refresh_token_that_is_used_again_ends_the_whole_session(
    client: TestClient, token_for: TokenFor, authorised: Header, database: Database
) -> None:
    stolen = _start(client, token_for("viewer"))
    good = _refresh(client, stolen["refresh_token"]).json()
    _later(database, 1)
    assert client.get("/tasks", headers=_bearer(good["access_token"])).status_code == 200
    answer = _refresh(client, stolen["refresh_token"])
    assert (answer.status_code, answer.json()["code"]) == (401, "refresh")
    for pair in (stolen, good):
        assert client.get("/tasks", headers=_bearer(pair["access_token"])).status_code == 401
    assert _refresh(client, good["refresh_token"]).status_code == 401
    [entry] = [
        one for one in client.get("/audit", headers=authorised).json()["entries"] if one["action"] == "session.reuse"
    ]
    assert (entry["outcome"], entry["subject"]) == ("refused", good["session"])


def test_an_answer_that_got_lost_may_be_asked_for_again_and_a_thief_is_noticed_a_little_later(
    client: TestClient, token_for: TokenFor, database: Database
) -> None:
    first = _start(client, token_for("viewer"))
    lost = _refresh(client, first["refresh_token"]).json()
    second = _refresh(client, first["refresh_token"])
    assert second.status_code == 200
    assert _refresh(client, second.json()["refresh_token"]).status_code == 200
    _later(database, 1)
    assert _refresh(client, lost["refresh_token"]).status_code == 401
    assert client.get("/tasks", headers=_bearer(second.json()["access_token"])).status_code == 401


def test_a_session_that_is_not_refreshed_for_a_week_is_over_and_no_session_lasts_longer_than_a_month(
    client: TestClient, token_for: TokenFor, database: Database
) -> None:
    idle, busy = _start(client, token_for("viewer")), _start(client, token_for("viewer", "busy"))
    for _ in range(5):
        _later(database, 6 * 24 * 60 - 1)
        answer = _refresh(client, busy["refresh_token"])
        busy = answer.json()
    assert answer.status_code == 200
    assert _refresh(client, idle["refresh_token"]).status_code == 401
    _later(database, 6)
    assert _refresh(client, busy["refresh_token"]).status_code == 401


def test_a_session_ends_with_the_token_that_it_was_started_with(
    client: TestClient, token_for: TokenFor, authorised: Header
) -> None:
    made = _start(client, token_for("viewer", "short"))
    [token] = [one for one in client.get("/tokens", headers=authorised).json()["tokens"] if one["name"] == "short"]
    client.delete(f"/tokens/{token['id']}", headers=authorised)
    assert client.get("/tasks", headers=_bearer(made["access_token"])).status_code == 401
    assert _refresh(client, made["refresh_token"]).status_code == 401


def test_a_session_never_allows_more_than_its_user_may_now(
    client: TestClient, token_for: TokenFor, database: Database
) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        add_user(connection, DEFAULT_TEAM, "ada", Role.OPERATOR)
    made = _start(client, token_for("operator", "ada's", user="ada"))
    assert made["person"] == "ada"
    cancel = f"/tasks/{uuid.uuid4()}/cancel"
    assert client.post(cancel, headers=_bearer(made["access_token"])).status_code == 404
    with database.team(DEFAULT_TEAM) as connection:
        set_role(connection, "ada", Role.VIEWER)
    assert client.post(cancel, headers=_bearer(made["access_token"])).status_code == 403
    with database.team(DEFAULT_TEAM) as connection:
        remove_user(connection, "ada")
    assert client.get("/tasks", headers=_bearer(made["access_token"])).status_code == 401


def test_a_session_cannot_start_another_and_ends_itself(client: TestClient, token_for: TokenFor) -> None:
    made = _start(client, token_for("viewer"))
    headers = _bearer(made["access_token"])
    assert client.post("/sessions", headers=headers).json()["code"] == "session"
    assert client.delete("/sessions/current", headers=headers).status_code == 204
    assert client.get("/tasks", headers=headers).status_code == 401
    assert _refresh(client, made["refresh_token"]).status_code == 401


def test_an_admin_sees_and_ends_the_sessions_of_their_own_team(
    client: TestClient, token_for: TokenFor, authorised: Header, other_team: tuple[uuid.UUID, Header]
) -> None:
    made = _start(client, token_for("viewer", "laptop"))
    [listed] = client.get("/sessions", headers=authorised).json()["sessions"]
    assert (listed["id"], listed["kind"], listed["token"]) == (made["session"], "program", "laptop")
    assert client.get("/sessions", headers=other_team[1]).json() == {"sessions": []}
    assert client.delete(f"/sessions/{made['session']}", headers=other_team[1]).status_code == 404
    for _ in range(2):
        assert client.delete(f"/sessions/{made['session']}", headers=authorised).status_code == 204
    assert client.get("/tasks", headers=_bearer(made["access_token"])).status_code == 401


def test_the_oldest_of_too_many_sessions_of_a_person_ends(
    client: TestClient, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_PERSON", 3)
    headers = token_for("viewer")
    made = [_start(client, headers) for _ in range(4)]
    seen = [client.get("/tasks", headers=_bearer(one["access_token"])).status_code for one in made]
    assert seen == [401, 200, 200, 200]


def test_sessions_that_were_over_long_ago_are_deleted(
    client: TestClient, token_for: TokenFor, database: Database
) -> None:
    headers = token_for("viewer")
    made = [_start(client, headers) for _ in range(3)]
    client.delete("/sessions/current", headers=_bearer(made[0]["access_token"]))
    with database.system() as connection:
        connection.execute("UPDATE sessions SET ended_at = ended_at - interval '31 days'")
        connection.execute(
            "UPDATE sessions SET expires_at = now() - interval '29 days' WHERE id = %s", (made[1]["session"],)
        )
    last = _start(client, headers)
    with database.system() as connection:
        left = {str(one) for (one,) in connection.execute("SELECT id FROM sessions").fetchall()}
    assert left == {made[1]["session"], made[2]["session"], last["session"]}


def test_what_is_no_refresh_token_is_refused(client: TestClient) -> None:
    for token in ("", "x", "psr_" + "a" * 43, "psr_" + "é" * 20, "a" * 300):
        assert _refresh(client, token).status_code in (400, 401), token


def test_too_many_attempts_from_one_address_are_refused(client: TestClient) -> None:
    statuses = [_refresh(client, f"psr_{n}").status_code for n in range(110)]
    assert statuses[:100] == [401] * 100
    assert 429 in statuses[100:]
