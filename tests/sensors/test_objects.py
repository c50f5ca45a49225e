"""Types of durable objects in Dagster: reported when what is to be seen of them has changed."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, SensorResult, SkipReason, build_sensor_context

from assets.platform import Platform
from core import tasks
from core.events import DEFAULT_TEAM, OBJECTS
from core.settings import Settings
from sensors.objects import object_event_sensor, object_type_sensor


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    made = Platform(Settings(home=tmp_path), database_url)
    yield made
    made.close()


@pytest.fixture
def called(platform: Platform) -> Callable[[], None]:
    """Adds an object with an answered call."""

    def add() -> None:
        key = uuid.uuid4().hex
        with platform.database.team(DEFAULT_TEAM) as connection:
            connection.execute(
                "INSERT INTO objects (team_id, type, key, code_version, status) "
                "VALUES (%s, 'register', %s, 1, 'Active')",
                (DEFAULT_TEAM, key),
            )
            connection.execute(
                "INSERT INTO object_calls (team_id, type, key, incarnation, call_id, method, request, outcome, answer, "
                "state_version, code_version, seconds, caller) "
                "VALUES (%s, 'register', %s, 1, 'x', 'add', '', 'ok', '1', 1, 1, 0.25, 'test')",
                (DEFAULT_TEAM, key),
            )

    return add


def test_a_type_is_reported_once_for_each_change(platform: Platform, called: Callable[[], None]) -> None:
    with DagsterInstance.ephemeral() as instance:

        def tick(cursor: str | None) -> str | None:
            context = build_sensor_context(instance=instance, cursor=cursor)
            result = object_type_sensor(context, platform=platform)
            return result.cursor if isinstance(result, SensorResult) else None

        context = build_sensor_context(instance=instance)
        assert isinstance(object_type_sensor(context, platform=platform), SkipReason)
        called()
        cursor = tick(None)
        for _ in range(2):
            cursor = tick(cursor)
        called()
        tick(cursor)
        assert instance.get_dynamic_partitions("object_types") == ["register"]
        records = instance.fetch_materializations(AssetKey("object_types"), limit=10).records
        shown = [one.asset_materialization.metadata for one in records if one.asset_materialization]
        assert [facts["answered in the last hour"].value for facts in shown] == [2, 1]
        assert shown[0]["p95 seconds"].value == 0.25 and shown[0]["objects active"].value == 2


def test_subscribers_hear_of_publications_and_migrations_once(platform: Platform) -> None:
    cursor: str | None = None

    def tick() -> list[tuple[str, object]]:
        nonlocal cursor
        with DagsterInstance.ephemeral() as instance:
            result = object_event_sensor(build_sensor_context(instance=instance, cursor=cursor), platform=platform)
        cursor = result.cursor if isinstance(result, SensorResult) else cursor
        return [(r.event.type, r.event.data) for r in platform.log.read(OBJECTS, {0: 0}, limit=100).records]

    assert tick() == [] and cursor is None
    with platform.database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO object_subscriptions (team_id, type, key, topic, event_type, method, next_offset) "
            "VALUES (%s, 'probe', 'a', %s, 'penstock.', 'hear', 0)",
            (DEFAULT_TEAM, OBJECTS),
        )
    assert tick() == [] and cursor is not None
    event = tasks.request_event(DEFAULT_TEAM, "api:1", "/api", "shop", title="Fix it")
    with platform.database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location) VALUES (%s, 'shop', '/nowhere')", (DEFAULT_TEAM,)
        )
        task = tasks.create_task(connection, platform.log, event=event, source="shop", title="Fix it")
        connection.execute("INSERT INTO attempts (team_id, task_id, attempt) VALUES (%s, %s, 1)", (DEFAULT_TEAM, task))
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, body) VALUES (%s, %s, 1, 'git:shop', '{}')",
            (DEFAULT_TEAM, task),
        )
    assert tick() == []
    with platform.database.system() as connection:
        connection.execute("UPDATE publications SET state = 'published', location = 'here', updated_at = now()")
        for name in ("old", "new"):
            connection.execute("SELECT add_embedding_model(%s, 3)", (name,))
        connection.execute(
            "INSERT INTO model_migrations (old_model, new_model, options, plan) SELECT o.id, n.id, '{}', '{}' "
            "FROM embedding_models o, embedding_models n WHERE (o.identity, n.identity) = ('old', 'new')"
        )
        connection.execute("UPDATE model_migrations SET state = 'cancelled', reason = 'no', state_at = now()")
    for _ in range(2):
        assert [(kind, data.get("task"), data.get("state")) for kind, data in tick()] == [  # type: ignore[attr-defined]
            ("penstock.task.published", str(task), None),
            ("penstock.migration.decided", None, "cancelled"),
        ]
