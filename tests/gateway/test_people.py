"""People who sign in at an OIDC issuer, at the gateway: over real HTTP to a real issuer on loopback."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.access.roles import Role
from core.access.users import add_user
from core.database import Database
from core.events import DEFAULT_TEAM
from tests.oidc_server import AUDIENCE, OidcServer

ROLES = {"readers": "viewer", "devs": "operator", "admins": "admin", "guests": "other/viewer"}


@pytest.fixture
def server() -> Iterator[OidcServer]:
    made = OidcServer()
    yield made
    made.stop()


@pytest.fixture
def people(make_client: Callable[..., TestClient], server: OidcServer) -> TestClient:
    return make_client(oidc_issuer=server.url, oidc_audience=AUDIENCE, oidc_roles=ROLES)


def _header(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_person_has_the_role_of_their_groups(people: TestClient, server: OidcServer) -> None:
    reader, admin = (_header(server.token(groups=[group, "x"])) for group in ("readers", "admins"))
    assert people.get("/tasks", headers=reader).status_code == 200
    refused = people.post(f"/tasks/{uuid.uuid4()}/cancel", headers=reader)
    assert (refused.status_code, refused.json()["role"]) == (403, "operator")
    assert people.post("/tokens", json={"name": "ci"}, headers=admin).status_code == 201
    entries = people.get("/audit", headers=admin).json()["entries"]
    assert [(e["actor_kind"], e["actor"], e["actor_id"], e["action"], e["outcome"]) for e in entries] == [
        ("user", "ada@example.org", "u-1", "token.create", "done"),
        ("user", "ada@example.org", "u-1", "task.cancel", "refused"),
    ]


def test_a_person_without_a_role_is_told_so(people: TestClient, server: OidcServer) -> None:
    for groups in (None, [], ["strangers"], "strangers", {"admins": True}, 7):
        answer = people.get("/tasks", headers=_header(server.token(groups=groups)))
        assert (answer.status_code, answer.json()["code"]) == (403, "no-role")


def test_a_token_that_is_not_valid_is_refused_without_the_reason(
    people: TestClient, server: OidcServer, make_client: Callable[..., TestClient]
) -> None:
    expired = server.token(groups=["admins"], exp=1)
    elsewhere = server.token(groups=["admins"], aud="another-service")
    answers = [people.get("/tasks", headers=_header(token)) for token in (expired, elsewhere, "a.b.c")]
    assert {(answer.status_code, answer.json()["code"], answer.json()["error"]) for answer in answers} == {
        (401, "token", "the token is not a valid one of the issuer, or has expired: sign in again")
    }
    without = make_client()
    assert without.get("/tasks", headers=_header(server.token(groups=["admins"]))).status_code == 401


def test_api_tokens_work_beside_the_issuer_even_while_it_does_not_answer(
    people: TestClient, server: OidcServer, authorised: dict[str, str]
) -> None:
    server.always = "404"
    answer = people.get("/tasks", headers=_header(server.token(groups=["admins"])))
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert people.get("/tasks", headers=authorised).status_code == 200


def test_a_person_of_several_teams_names_one(
    people: TestClient, server: OidcServer, other_team: tuple[uuid.UUID, dict[str, str]]
) -> None:
    both = _header(server.token(groups=["devs", "guests"]))
    answer = people.get("/tasks", headers=both)
    assert (answer.status_code, answer.json()["field"]) == (403, "Penstock-Team")
    assert "default, other" in answer.json()["error"]
    cancel = f"/tasks/{uuid.uuid4()}/cancel"
    assert people.post(cancel, headers=both | {"Penstock-Team": "default"}).status_code == 404
    assert people.post(cancel, headers=both | {"Penstock-Team": "Other"}).status_code == 403
    for team in ("nowhere", "", "é".encode()):
        answer = people.get("/tasks", headers=both | {"Penstock-Team": team})  # type: ignore[dict-item]
        assert (answer.status_code, answer.json()["code"]) == (403, "no-role")


def test_a_user_of_a_team_has_the_role_there_if_the_address_is_verified(
    people: TestClient, server: OidcServer, database: Database
) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        add_user(connection, DEFAULT_TEAM, "Ada@Example.org", Role.OPERATOR)
    cancel = f"/tasks/{uuid.uuid4()}/cancel"
    assert people.post(cancel, headers=_header(server.token())).status_code == 404
    for claims in ({"email_verified": False}, {"email_verified": None}, {"email": "eve@example.org"}):
        assert people.post(cancel, headers=_header(server.token(**claims))).status_code == 403


def test_a_person_has_one_limit_however_many_tokens_they_get(
    make_client: Callable[..., TestClient], server: OidcServer
) -> None:
    client = make_client(
        oidc_issuer=server.url, oidc_audience=AUDIENCE, oidc_roles=ROLES, token_rate=0.001, token_burst=2
    )

    def get(**claims: Any) -> int:
        return client.get("/tasks", headers=_header(server.token(groups=["readers"], **claims))).status_code

    assert [get() for _ in range(3)] == [200, 200, 429]  # the last after a second
    assert get(sub="u-2") == 200


def test_a_persons_session_has_their_role_for_half_a_day_and_their_name(people: TestClient, server: OidcServer) -> None:
    person = _header(server.token(groups=["devs"]))
    made = people.post("/sessions", headers=person).json()
    assert made["person"] == "ada@example.org"
    left = datetime.fromisoformat(made["ends_at"]) - datetime.now(UTC)
    assert timedelta(hours=11) < left <= timedelta(hours=12)
    session = _header(made["access_token"])
    me, own = (people.get("/me", headers=headers).json() for headers in (session, person))
    assert {**me, "session": None} == own
    assert (me["role"], me["session"]) == ("operator", made["session"])
    server.always = "404"
    assert people.get("/tasks", headers=session).status_code == 200, "the issuer is not asked again"
