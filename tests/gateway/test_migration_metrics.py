"""A migration of embedding models that stands still, in the gateway's metrics."""

from datetime import timedelta

import pytest
from psycopg.types.json import Jsonb
from starlette.testclient import TestClient

from core.database import Database
from core.health.migration_health import read_health
from core.states import MigrationState


def begin(database: Database, state: str = "building", options: dict[str, object] | None = None) -> int:
    """A migration in this state that began an hour ago."""
    with database.system() as connection:
        for name in ("old", "new"):
            connection.execute("SELECT add_embedding_model(%s, 8)", (name,))
            connection.execute("UPDATE embedding_models SET name = identity, spec = '{}' WHERE identity = %s", (name,))
        row = connection.execute(
            "INSERT INTO model_migrations (old_model, new_model, options, plan) "
            "SELECT o.id, n.id, %s, '{}' FROM embedding_models o, embedding_models n "
            "WHERE o.identity = 'old' AND n.identity = 'new' RETURNING id",
            (Jsonb(options or {}),),
        ).fetchone()
        assert row
        path = ["building", "shadowing", "judged", "observing", "draining"]
        for step in path[: path.index(state) + 1]:
            connection.execute(
                "UPDATE model_migrations SET state = %s, state_at = now() - interval '1 hour' WHERE id = %s",
                (step, row[0]),
            )
        return int(row[0])


def note(database: Database, number: int, kind: str, ago: timedelta = timedelta(0)) -> None:
    with database.system() as connection:
        connection.execute(
            "INSERT INTO model_migration_events (migration_id, kind, at) VALUES (%s, %s, now() - %s)",
            (number, kind, ago),
        )


def test_metrics_tell_of_a_migration_that_stands_still_and_forget_a_closed_one(
    client: TestClient, database: Database, authorised: dict[str, str]
) -> None:
    def shown() -> str:
        return str(client.get("/metrics", headers=authorised).text)

    assert "penstock_migration_stalled{" not in shown()
    number = begin(database)
    labels = f'{{migration="{number}",state="building"}}'
    assert f"penstock_migration_stalled{labels} 1.0" in shown()
    note(database, number, "waits")  # that it waits for something is not that something was done
    assert f"penstock_migration_stalled{labels} 1.0" in shown()
    note(database, number, "progress")
    assert f"penstock_migration_stalled{labels} 0.0" in shown()
    with database.system() as connection:
        connection.execute("UPDATE model_migrations SET state = %s WHERE id = %s", (MigrationState.CANCELLED, number))
    assert "penstock_migration_stalled{" not in shown()


@pytest.mark.parametrize(
    ("state", "options", "stalled"),
    [
        ("building", {"stalled_minutes": 90}, False),
        ("shadowing", {}, True),
        ("judged", {}, False),
        ("observing", {"observe_seconds": 60}, True),
        ("observing", {"observe_seconds": 86400}, True),
        ("draining", {"drain_seconds": 86400}, False),
        ("draining", {"drain_seconds": 60}, True),
    ],
)
def test_what_waits_for_a_person_or_for_time_is_not_stalled(
    database: Database, state: str, options: dict[str, object], stalled: bool
) -> None:
    begin(database, state, options)
    with database.system() as connection:
        health = read_health(connection)
    assert health is not None
    assert (health.stalled is not None) == stalled
    assert health.quiet_seconds == pytest.approx(3600, abs=60)


def test_a_paused_migration_is_not_stalled(database: Database) -> None:
    number = begin(database)
    with database.system() as connection:
        connection.execute("UPDATE model_migrations SET paused = true WHERE id = %s", (number,))
        health = read_health(connection)
    assert health is not None
    assert (health.waits_for, health.stalled) == ("an operator", None)
