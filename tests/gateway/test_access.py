import re
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from hypothesis import Phase, given
from hypothesis import settings as bounded
from schemathesis import openapi
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from core.database import Database
from core.settings import Settings
from gateway import health
from gateway.app import create_app

SERVICES = ("github", "gitlab", "gitea", "bitbucket", "jira", "linear", "slack", "generic")
OPEN = {
    "/sessions/refresh",  # its body is the token
    *("/", "/healthz", "/readyz"),
    *(f"/webhooks/{service}" for service in SERVICES),
    *(f"/webhooks/{{team}}/{service}" for service in SERVICES if service != "slack"),
}


def _routes(client: TestClient) -> set[tuple[str, str]]:
    document = client.app.openapi()  # type: ignore[attr-defined]
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    return found | {("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/nothing"), ("GET", "/healthz/")}


def test_every_route_but_webhooks_and_health_needs_a_token(client: TestClient) -> None:
    seen = set()
    for method, path in sorted(_routes(client)):
        seen.add(path)
        if path in OPEN:
            continue
        for headers in (
            {},
            {"Authorization": "Bearer pst_wrong"},
            {"Authorization": "Bearer " + "x" * 5000},
            {"Authorization": "Basic cHN0Xw=="},
            {"Authorization": "Bearer"},
        ):
            answer = client.request(
                method, re.sub(r"\{.*?\}", "00000000-0000-0000-0000-000000000000", path), headers=headers
            )
            assert answer.status_code == 401, (method, path, headers, answer.text)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["code"] == "token"
    assert seen > OPEN
    assert {"/tasks", "/tasks/{task_id}/events", "/metrics"} < seen


def test_open_routes_answer_without_a_token(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["status"] == "ready"


def test_a_token_opens_every_path_and_the_unknown_ones_are_not_found(
    client: TestClient, authorised: dict[str, str]
) -> None:
    assert client.get("/openapi.json", headers=authorised).json()["info"]["title"] == "Penstock"
    assert client.get("/tasks", headers=authorised).status_code == 200
    assert client.get("/nothing", headers=authorised).json()["code"] == "no-such-path"
    answer = client.delete("/tasks", headers=authorised)
    assert (answer.status_code, answer.json()["code"]) == (405, "method")


def test_two_authorization_headers_are_refused(client: TestClient, authorised: dict[str, str]) -> None:
    pairs = [("Authorization", authorised["Authorization"]), ("Authorization", "Bearer pst_other")]
    assert client.get("/tasks", headers=pairs).status_code == 401


def test_a_revoked_token_stops_working_immediately(
    client: TestClient, authorised: dict[str, str], database: Database
) -> None:
    assert client.get("/tasks", headers=authorised).status_code == 200
    with database.system() as connection:
        connection.execute("DELETE FROM api_tokens")
    assert client.get("/tasks", headers=authorised).status_code == 401


def test_readiness_names_the_migration_that_is_missing(
    client: TestClient, postgres_server: Any, database_name: str
) -> None:
    with psycopg.connect(postgres_server.url(database_name, owner=True)) as connection:
        connection.execute("DELETE FROM penstock.schema_migrations WHERE version = 1")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "0001_tenancy_and_tasks" in answer.json()["db_schema"]


def test_a_database_that_hangs_is_asked_once_and_told_within_a_time_limit(
    settings: Settings, credentials: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, goes_on = [], threading.Event()

    class Hanging(Database):
        def system(self) -> Any:
            asked.append(1)
            assert goes_on.wait(60)
            raise psycopg.OperationalError

    monkeypatch.setattr(health, "PATIENCE", 0.1)
    database = Hanging("postgresql://penstock@127.0.0.1:9/none", timeout=0.3)
    client = TestClient(create_app(settings, database, credentials))
    for _ in range(3):
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
        assert "does not answer within" in answer.json()["database"]
    assert asked == [1]
    goes_on.set()
    monkeypatch.setattr(health, "PATIENCE", 30.0)
    assert client.get("/readyz").json()["database"] == "cannot be reached"
    database.close()


def test_without_a_database_the_gateway_lives_but_is_not_ready_and_stores_nothing(
    settings: Settings, sender: Any, issue: dict[str, Any], authorised: dict[str, str], credentials: Any
) -> None:
    nowhere = Database("postgresql://penstock@127.0.0.1:9/none", timeout=0.3)
    client = TestClient(create_app(settings, nowhere, credentials))
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, "cannot be reached")
    for response in (
        client.request("POST", **sender.github(issue)),
        client.get("/tasks", headers=authorised),
    ):
        assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        assert int(response.headers["retry-after"]) > 0
    nowhere.close()


def test_an_internal_error_reveals_no_details(
    client: TestClient, authorised: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("gateway.tasks.tasks.list_tasks", broken)
    answer = client.get("/tasks", headers=authorised)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret detail" not in answer.text


def test_the_gateway_follows_its_openapi_document(
    make_client: Callable[..., TestClient], authorised: dict[str, str], add_source: Callable[..., None]
) -> None:
    add_source()
    schema = openapi.from_asgi("/openapi.json", make_client().app, headers=authorised)
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) >= 10
    for operation in operations:
        _check(operation, authorised)


MORE_THAN_A_SCHEMA = {
    ("get", "/tasks"),
    ("get", "/threads"),
    ("post", "/object-types/{type}/versions"),
    ("post", "/sync/push"),
    ("put", "/threads/{thread_id}/sharing"),
    ("put", "/threads/{thread_id}/blobs/{sha256}"),
}
"""What the document cannot say: a cursor is one of this gateway, numbers have no gap, a digest is that of the body,
a manifest is one."""


def _check(operation: Any, headers: dict[str, str]) -> None:
    excluded = [positive_data_acceptance] if (operation.method, operation.path) in MORE_THAN_A_SCHEMA else []

    @bounded(max_examples=25, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        case.call_and_validate(headers=headers, excluded_checks=excluded)

    holds()
