"""Webhooks of teams other than the default one: each has its own addresses, secrets and deliveries."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.access.teams import add_team, remove_team
from core.credentials import Credentials, CredentialsError
from core.database import Database
from core.events import DEFAULT_TEAM
from core.settings import Settings
from core.signatures import sign_gitea, sign_github, sign_standard
from core.team_webhooks import SENDERS, add_secret, end_former, read_secrets, remove_secrets
from tests.gateway.forge_cases import Forges

REPOSITORY = "acme/shop"
PAYLOAD = {
    "action": "opened",
    "issue": {"number": 1, "title": "It fails", "body": "", "user": {"login": "ada"}, "labels": []},
    "repository": {"full_name": REPOSITORY},
    "sender": {"login": "ada"},
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed secrets count from the next request on."""
    monkeypatch.setattr("gateway.team_secrets.SECONDS", 0.0)


@pytest.fixture
def teams(database: Database) -> dict[str, uuid.UUID]:
    """Three teams with a source of the same repository."""
    with database.system() as connection:
        found = {name: add_team(connection, name).id for name in ("Acme", "globex")} | {"default": DEFAULT_TEAM}
    for team in found.values():
        with database.team(team) as connection:
            connection.execute(
                "INSERT INTO sources (team_id, name, location, repository) VALUES (%s, 'shop', '/x', %s)",
                (team, REPOSITORY),
            )
    return found


def github(
    client: TestClient, secret: str, team: str | None = "acme", payload: Any = None, delivery: str | None = None
) -> Any:
    body = json.dumps(payload or PAYLOAD).encode()
    headers = {
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
        "X-Hub-Signature-256": sign_github(secret, body),
        "Content-Type": "application/json",
    }
    place = f"{team}/github" if team else "github"
    return client.post(f"/webhooks/{place}", content=body, headers=headers)


def takes(client: TestClient, secret: str) -> bool:
    """Whether a delivery is accepted: 202, or 200 for what is known."""
    answer = github(client, secret)
    assert answer.status_code in (200, 202, 401)
    return bool(answer.status_code != 401)


def tasks_of(database: Database, team: uuid.UUID) -> int:
    with database.team(team) as connection:
        row = connection.execute("SELECT count(*) FROM tasks").fetchone()
    return int(row[0]) if row else 0


def test_a_delivery_belongs_to_the_team_whose_address_and_secret_it_has(
    client: TestClient, database: Database, settings: Settings, credentials: Credentials, teams: dict[str, uuid.UUID]
) -> None:
    mine, _ = add_secret(settings.secrets_folder, teams["Acme"], "github")
    theirs, _ = add_secret(settings.secrets_folder, teams["globex"], "github")
    answer = github(client, mine, delivery="one")
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    assert github(client, mine, "ACME", delivery="one").status_code == 200, "names have no case"
    assert {name: tasks_of(database, team) for name, team in teams.items()} == {"Acme": 1, "globex": 0, "default": 0}
    for secret, team in (
        (theirs, "acme"),
        (mine, "globex"),
        (mine, None),
        (credentials.github_secrets[0], "acme"),
        (credentials.github_secrets[0], "default"),
    ):
        assert github(client, secret, team).status_code == 401
    assert github(client, theirs, "globex", delivery="one").status_code == 202, "ids of deliveries are a team's own"
    assert github(client, credentials.github_secrets[0], None, delivery="one").status_code == 202
    assert {name: tasks_of(database, team) for name, team in teams.items()} == {"Acme": 1, "globex": 1, "default": 1}


def test_unknown_teams_and_wrong_secrets_are_answered_alike(
    client: TestClient, settings: Settings, teams: dict[str, uuid.UUID]
) -> None:
    for sender in SENDERS:
        add_secret(settings.secrets_folder, teams["Acme"], sender)
    signed = {
        "X-Hub-Signature-256": f"sha256={'0' * 64}",
        "X-Hub-Signature": f"sha256={'0' * 64}",
        "X-Gitea-Signature": "0" * 64,
        "Linear-Signature": "0" * 64,
        "X-Gitlab-Token": "wrong",
        "webhook-id": "one",
        "webhook-timestamp": "1",
        "webhook-signature": "v1,AAAA",
    }
    answers = set()
    for sender in SENDERS:
        for team in ("acme", "globex", "nobody", "default"):
            for headers in ({}, signed):
                answer = client.post(f"/webhooks/{team}/{sender}", content=b"{}", headers=headers)
                kept = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
                answers.add((answer.status_code, answer.text, json.dumps(kept)))
    assert len(answers) == 1
    [(status, text, _)] = answers
    assert (status, json.loads(text)["code"]) == (401, "signature-wrong")


def test_two_secrets_are_valid_at_once(client: TestClient, settings: Settings, teams: dict[str, uuid.UUID]) -> None:
    where = (settings.secrets_folder, teams["Acme"], "github")
    first, before = add_secret(*where)
    second, _ = add_secret(*where)
    assert not before
    assert [takes(client, secret) for secret in (first, second)] == [True, True]
    third, before = add_secret(*where)
    assert before
    assert [takes(client, secret) for secret in (first, second, third)] == [False, True, True]
    assert end_former(*where)
    assert not end_former(*where)
    assert [takes(client, secret) for secret in (second, third)] == [False, True]
    assert remove_secrets(*where)
    assert not takes(client, third)


def _requests(credentials: Credentials) -> dict[str, dict[str, Any]]:
    """A request of each sender, signed with these secrets."""
    forges = Forges(credentials)
    found = {"gitlab": forges.gitlab({}), "gitea": forges.gitea(PAYLOAD), "jira": forges.jira({"webhookEvent": "x"})}
    body = json.dumps({"type": "Issue", "action": "update", "webhookTimestamp": int(time.time() * 1000)}).encode()
    found["linear"] = forges._request(
        "linear", body, {"Linear-Signature": sign_gitea(credentials.linear_secrets[0], body)}
    )
    found["linear"]["headers"]["Linear-Delivery"] = "one"
    signature = sign_github(credentials.bitbucket_secrets[0], b"{}")
    headers = {"X-Event-Key": "x:y", "X-Request-UUID": "one", "X-Hub-Signature": signature}
    found["bitbucket"] = forges._request("bitbucket", b"{}", headers)
    body, now = json.dumps({"type": "x", "data": {}}).encode(), int(time.time())
    headers = {"webhook-id": "one", "webhook-timestamp": str(now)}
    headers["webhook-signature"] = sign_standard(credentials.generic_secrets[0], "one", now, body)
    found["generic"] = forges._request("generic", body, headers)
    body = json.dumps(PAYLOAD).encode()
    headers = {"X-GitHub-Event": "issues", "X-GitHub-Delivery": "one"}
    headers["X-Hub-Signature-256"] = sign_github(credentials.github_secrets[0], body)
    found["github"] = forges._request("github", body, headers)
    return found


def test_every_sender_has_an_address(
    client: TestClient, settings: Settings, credentials: Credentials, teams: dict[str, uuid.UUID]
) -> None:
    made = {f"{one}_secrets": (add_secret(settings.secrets_folder, teams["Acme"], one)[0],) for one in SENDERS}
    requests = _requests(replace(credentials, **made))  # type: ignore[arg-type]
    assert set(requests) == set(SENDERS)
    for sender, request in requests.items():
        answer = client.post(**request | {"url": f"/webhooks/acme/{sender}"})
        assert answer.status_code in (202, 400), (sender, answer.text)  # 400: what the payload lacks
        assert client.post(**request).status_code == 401, f"{sender} of the default team has another secret"


def test_who_has_the_secret_learns_that_a_delivery_is_too_old(
    client: TestClient, settings: Settings, teams: dict[str, uuid.UUID]
) -> None:
    secret, _ = add_secret(settings.secrets_folder, teams["Acme"], "generic")
    headers = {"webhook-id": "one", "webhook-timestamp": "1000"}
    headers["webhook-signature"] = sign_standard(secret, "one", 1000, b"{}")
    answer = client.post("/webhooks/acme/generic", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "timestamp-stale")


def test_a_team_uses_up_its_own_limits_alone(
    make_client: Callable[..., TestClient],
    settings: Settings,
    credentials: Credentials,
    teams: dict[str, uuid.UUID],
) -> None:
    mine, _ = add_secret(settings.secrets_folder, teams["Acme"], "github")
    theirs, _ = add_secret(settings.secrets_folder, teams["globex"], "github")
    client = make_client(webhook_rate=0.001, webhook_burst=2)
    assert [github(client, "wrong").status_code for _ in range(4)] == [401] * 4
    answers = [github(client, mine) for _ in range(3)]
    assert [one.status_code for one in answers] == [202, 200, 429]
    assert "of team acme has used up its limit" in answers[-1].json()["error"]
    assert github(client, theirs, "globex").status_code == 202
    assert github(client, credentials.github_secrets[0], None).status_code == 202


def test_a_team_that_is_flooded_holds_no_other_back(
    make_client: Callable[..., TestClient], settings: Settings, teams: dict[str, uuid.UUID]
) -> None:
    mine, _ = add_secret(settings.secrets_folder, teams["Acme"], "github")
    theirs, _ = add_secret(settings.secrets_folder, teams["globex"], "github")
    client = make_client(most_waiting=1)

    def about(number: int) -> dict[str, Any]:
        return PAYLOAD | {"issue": {**PAYLOAD["issue"], "number": number}}  # type: ignore[dict-item]

    assert github(client, mine, payload=about(1)).status_code == 202
    refused = github(client, mine, payload=about(2))
    assert (refused.status_code, refused.json()["code"]) == (429, "backlog")
    assert github(client, theirs, "globex", payload=about(2)).status_code == 202


def test_a_removed_team_and_one_of_the_same_name_get_nothing(
    client: TestClient, database: Database, settings: Settings, teams: dict[str, uuid.UUID]
) -> None:
    secret, _ = add_secret(settings.secrets_folder, teams["Acme"], "github")
    with database.team(teams["Acme"]) as connection:
        connection.execute("DELETE FROM sources")
    with database.system() as connection:
        remove_team(connection, "acme")
        add_team(connection, "acme")
    assert github(client, secret).status_code == 401


def test_a_secret_that_others_can_read_is_not_used_and_holds_nobody_up(
    client: TestClient, settings: Settings, teams: dict[str, uuid.UUID]
) -> None:
    mine, _ = add_secret(settings.secrets_folder, teams["Acme"], "github")
    theirs, _ = add_secret(settings.secrets_folder, teams["globex"], "github")
    path = settings.secrets_folder / "webhooks" / str(teams["Acme"]) / "github"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    path.chmod(0o640)
    assert github(client, mine).status_code == 401
    assert github(client, theirs, "globex").status_code == 202


def test_requests_by_anybody_ask_for_teams_only_now_and_then(
    client: TestClient, settings: Settings, teams: dict[str, uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.team_secrets.SECONDS", 60.0)
    add_secret(settings.secrets_folder, teams["Acme"], "github")
    asked = 0
    read = client.app.state.gateway.team_webhooks._read  # type: ignore[attr-defined]

    def counted() -> Any:
        nonlocal asked
        asked += 1
        return read()

    monkeypatch.setattr(client.app.state.gateway.team_webhooks, "_read", counted)  # type: ignore[attr-defined]
    for number in range(20):
        assert github(client, "wrong", f"team{number}").status_code == 401
    assert asked == 1


@pytest.mark.parametrize("path", ["/webhooks/acme/slack", "/webhooks/a b/github", "/webhooks/acme/x/github"])
def test_other_paths_below_webhooks_need_a_token(client: TestClient, path: str) -> None:
    answer = client.post(path, content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (401, "token")


@pytest.mark.parametrize(
    ("sender", "secret"),
    [
        ("github", "short"),
        ("github", "with space in it x"),
        ("generic", "whsec_!!!!!!!!!!!!"),
        ("gitlab", "whsec_!!!!!!!!!!!!"),
    ],
)
def test_what_cannot_be_a_secret_is_refused(
    settings: Settings, teams: dict[str, uuid.UUID], sender: str, secret: str
) -> None:
    with pytest.raises(CredentialsError):
        add_secret(settings.secrets_folder, teams["Acme"], sender, secret)
    assert read_secrets(settings.secrets_folder, teams["Acme"], sender) == ()
