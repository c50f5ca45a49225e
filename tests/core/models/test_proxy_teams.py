"""Teams' tokens, limits and accounts, on a real PostgreSQL."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.access.roles import Role
from core.access.teams import add_team
from core.access.tokens import create_token, find_token, revoke_token
from core.database import Database
from core.database.embedded import EmbeddedServer
from core.events import DEFAULT_TEAM
from core.models import access, accounts
from core.models.accounts import Account, Accounts
from core.models.budgets import Budgets
from core.models.config import TeamLimits
from core.models.pool import Refusal
from tests.core.models.conftest import Running

TOKEN_MODE: dict[str, Any] = {"access": {"mode": "token"}}


def _token(database: Database, role: Role = Role.OPERATOR, team: uuid.UUID = DEFAULT_TEAM) -> str:
    with database.team(team) as connection:
        return create_token(connection, team, uuid.uuid4().hex[:10], role=role)[1]


@pytest.fixture
def other_team(database: Database) -> uuid.UUID:
    with database.system() as connection:
        return add_team(connection, "Other").id


def _rows(database: Database, columns: str) -> list[tuple[Any, ...]]:
    with database.system() as connection:
        return connection.execute(f"SELECT {columns} FROM model_requests ORDER BY at").fetchall()  # noqa: S608


def _account(task: str | None = None, prompt_tokens: int = 2) -> Account:
    return Account(
        DEFAULT_TEAM, uuid.uuid4(), datetime.now(UTC), task, "m", "1", "a", "chat", "ok", 1, prompt_tokens, 3, True,
        0.5, 0.1, None, 0.2,
    )  # fmt: skip


@pytest.fixture
def served(backends: Any, proxied: Any, database: Database) -> Iterator[Running]:
    prices = [{"name": "m", "prompt_price": 100, "completion_price": 1000}]
    proxy = proxied({"a": backends()}, database, **TOKEN_MODE, models=prices)
    proxy.token = _token(database)
    yield proxy


def test_a_token_is_needed_and_its_role_counts(served: Running, database: Database, other_team: uuid.UUID) -> None:
    served.token = ""
    refused = served.chat()
    assert refused.status_code == 401 and "www-authenticate" in refused.headers
    served.token = "pst_" + "x" * 40
    assert [served.chat().status_code for _ in range(2)] == [401, 401]
    served.token = _token(database, Role.VIEWER)
    assert served.chat().status_code == 403
    assert served.get("/v1/models").status_code == 200
    assert served.get("/metrics").status_code == 200
    served.token = _token(database, team=other_team)
    assert served.chat().status_code == 200
    assert served.get("/metrics").status_code == 403
    assert served.get("/state").status_code == 403
    assert httpx.get(f"{served.url}/healthz").status_code == 200


def test_errors_are_in_the_dialect_of_the_path(served: Running) -> None:
    served.token = ""
    assert isinstance(served.post("/api/chat", {}).json()["error"], str)
    assert served.post("/v1/chat/completions", {}).json()["error"]["code"] == "token"


def test_a_revoked_token_ends(served: Running, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "FRESH", 0.1)
    monkeypatch.setattr(access, "STALE", 0.3)
    assert served.chat().status_code == 200
    with database.team(DEFAULT_TEAM) as connection:
        revoke_token(connection, find_token(connection, served.token).id)
    served.until(lambda: served.chat().status_code == 401, 3.0)


def test_each_request_is_accounted_to_its_team_and_task(served: Running, database: Database) -> None:
    assert served.chat(task="task-1").is_success
    assert served.chat(stream=True, task="task-2").is_success
    assert served.post("/v1/embeddings", {"model": "m", "input": ["a", "b"]}).is_success
    served.until(lambda: len(_rows(database, "id")) == 3)
    rows = _rows(database, "team_id, task, model, version, backend, operation, outcome, tries, prompt_tokens, "
                 "completion_tokens, estimated, money, queue_seconds, first_byte_seconds, seconds")  # fmt: skip
    for row, task, operation, tokens in zip(
        rows, ["task-1", "task-2", None], ["chat", "chat", "embed"], [(11, 5), (11, 5), (7, 0)], strict=True
    ):
        assert row[:11] == (DEFAULT_TEAM, task, "m", "1", "a", operation, "ok", 1, *tokens, False)
        assert row[11] == pytest.approx((tokens[0] * 100 + tokens[1] * 1000) / 1e6)
        assert 0 <= row[12] <= row[13] <= row[14] < 20


def test_a_failed_request_is_accounted_without_tokens(backends: Any, proxied: Any, database: Database) -> None:
    proxy = proxied({"a": backends("500"), "b": backends("500")}, database, **TOKEN_MODE)
    proxy.token = _token(database)
    assert proxy.chat().status_code == 502
    proxy.until(lambda: len(_rows(database, "id")) == 1)
    assert _rows(database, "outcome, tries, prompt_tokens, money") == [("failed", 2, 0, 0.0)]


def test_a_batch_that_is_written_twice_counts_once(database: Database) -> None:
    writer = Accounts(database, Budgets())
    batch = [_account(task='it\'s "odd" \\ é') for _ in range(3)]
    writer._insert(batch)
    writer._insert(batch)
    assert _rows(database, "task, money, first_byte_seconds, estimated") == [(batch[0].task, 0.5, None, True)] * 3


def test_rows_of_other_teams_are_not_seen(served: Running, database: Database, other_team: uuid.UUID) -> None:
    served.chat()
    served.until(lambda: len(_rows(database, "id")) == 1)
    with database.team(other_team) as connection:
        assert connection.execute("SELECT count(*) FROM model_requests").fetchall() == [(0,)]


def test_requests_go_on_while_the_database_is_away_and_are_accounted_later(
    backends: Any,
    proxied: Any,
    postgres_server: EmbeddedServer,
    database_name: str,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "FRESH", 0.1)
    monkeypatch.setattr(access, "STALE", 0.2)
    monkeypatch.setattr(accounts, "LONGEST_PAUSE", 1.0)
    own = Database(postgres_server.url(database_name), timeout=0.5)
    proxy = proxied({"a": backends()}, own, **TOKEN_MODE)
    proxy.token = _token(database)
    assert proxy.chat().is_success
    proxy.until(lambda: len(_rows(database, "id")) == 1)
    with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {database_name} ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database_name,))
        time.sleep(0.5)
        for _ in range(5):
            assert proxy.chat().status_code == 200
        known, proxy.token = proxy.token, "pst_" + "y" * 40
        assert proxy.chat().status_code == 503
        proxy.token = known
        assert proxy.metric("accounting_waiting") == 5
        owner.execute(f"ALTER DATABASE {database_name} ALLOW_CONNECTIONS true")  # type: ignore[arg-type]
    fresh = Database(postgres_server.url(database_name))
    try:
        proxy.until(lambda: len(_rows(fresh, "id")) == 6, 15.0)
    finally:
        fresh.close()
    assert proxy.metric("accounting_lost_total") == 0
    own.close()


def test_accounts_beyond_the_bound_are_dropped_and_counted() -> None:
    lost: list[int] = []
    writer = Accounts(Database("postgresql://127.0.0.1:1/none"), Budgets(), on_lost=lost.append, most=3)
    for number in range(5):
        writer.add(_account(prompt_tokens=number))
    assert writer.waiting == 3 and sum(lost) == 2


def test_a_team_that_used_up_its_tokens_is_429_and_others_go_on(
    backends: Any, proxied: Any, database: Database, other_team: uuid.UUID
) -> None:
    proxy = proxied({"a": backends()}, database, **TOKEN_MODE, teams={"Default": {"tokens_per_minute": 60}})
    proxy.token = _token(database)
    assert proxy.chat(max_tokens=10).is_success
    answers = [proxy.chat(max_tokens=10) for _ in range(4)]
    limited = next(answer for answer in answers if answer.status_code == 429)
    assert limited.json()["error"]["code"] == "tokens_per_minute"
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    proxy.token = _token(database, team=other_team)
    assert proxy.chat(max_tokens=10).is_success


def test_a_team_that_used_up_its_money_is_429_until_midnight(backends: Any, proxied: Any, database: Database) -> None:
    prices = [{"name": "m", "prompt_price": 100_000, "completion_price": 100_000}]
    proxy = proxied({"a": backends()}, database, **TOKEN_MODE, models=prices, other_teams={"money_per_day": 3.0})
    proxy.token = _token(database)
    assert proxy.chat(max_tokens=1).is_success  # it costs 1.6
    refused = [answer for answer in (proxy.chat(max_tokens=1) for _ in range(3)) if answer.status_code == 429]
    assert refused and refused[-1].json()["error"]["code"] == "money_per_day"
    assert "midnight UTC" in refused[-1].text
    proxy.until(lambda: proxy.metric("accounting_written_total") >= 1)
    again = proxied({"a": backends()}, database, **TOKEN_MODE, models=prices, other_teams={"money_per_day": 1.7})
    again.token = proxy.token
    again.until(lambda: again.proxy.budgets._teams != {})
    assert again.chat(max_tokens=1).status_code == 429


class _Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 30)), max_size=40))
def test_reservations_never_pass_the_rate_and_a_burst(asked: list[tuple[int, float]]) -> None:
    clock, limits, began = _Clock(), TeamLimits(tokens_per_minute=600), 1_000_000.0
    budgets, taken = Budgets(clock, clock), 0
    for tokens, later in asked:
        clock.now += later
        try:
            budgets.reserve("t", limits, tokens, 0.0)
            taken += tokens
        except Refusal as refusal:
            assert refusal.status == 429 and refusal.seconds is not None
        assert taken <= 600 + (clock.now - began) * 10 + 1e-6


@given(st.lists(st.floats(0.01, 2), max_size=30), st.floats(0, 5))
def test_money_in_flight_and_spent_never_passes_the_budget_by_more_than_a_first_request(
    asked: list[float], limit: float
) -> None:
    clock, limits, spent = _Clock(), TeamLimits(money_per_day=limit), 0.0
    budgets, first = Budgets(clock, clock), max([*asked, 0.0])
    for number, money in enumerate(asked):
        try:
            reservation = budgets.reserve("t", limits, 1, money)
        except Refusal:
            continue
        spent += money
        if number % 2:
            budgets.settle(reservation, limits, 1, money)
            budgets.written("t", money, reservation.day)
    assert spent <= max(limit, first) + 1e-6
    clock.now += 86_400
    if limit >= 0.01:
        budgets.reserve("t", limits, 1, 0.01)
