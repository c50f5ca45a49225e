"""The freshness of sources in the gateway's metrics."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from starlette.testclient import TestClient

from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import CHANGES, DEFAULT_TEAM, Event


def test_metrics_show_the_freshness_of_each_source_and_drop_removed_ones(
    client: TestClient, database: Database, add_source: Callable[..., None], authorised: dict[str, str]
) -> None:
    add_source()
    visible = datetime.now(UTC)
    with database.system() as connection:
        connection.execute("SELECT add_embedding_model('m-8@sha256:0', 8)")
        connection.execute(
            "INSERT INTO index_versions (team_id, source, version, commit, branch, config, files, chunks, skipped, "
            "changed_at, visible_at) VALUES (%s, 'hello', 1, 'c', 'main', 'x', 1, 1, 0, %s, %s)",
            (DEFAULT_TEAM, visible - timedelta(seconds=3), visible),
        )
        connection.execute(
            "INSERT INTO source_indexes (team_id, source, version) VALUES (%s, 'hello', 1)", (DEFAULT_TEAM,)
        )
        connection.execute(
            "INSERT INTO version_models (team_id, source, version, model_id, complete_at) "
            "SELECT %s, 'hello', 1, id, %s FROM embedding_models",
            (DEFAULT_TEAM, visible + timedelta(seconds=2)),
        )
        connection.execute(
            "INSERT INTO source_refreshes (team_id, source, tried_at, failed_at, failures, error) "
            "VALUES (%s, 'hello', now(), now(), 4, 'gone')",
            (DEFAULT_TEAM,),
        )
    PostgresLog(database).append([(CHANGES, Event(id="github:1", source="/github", type="x", subject="hello"))])
    labels = f'source="hello",team="{DEFAULT_TEAM}"'
    text = client.get("/metrics", headers=authorised).text
    for line in (
        f"penstock_index_lag_seconds{{{labels}}} 3.0",
        f"penstock_index_waiting_changes{{{labels}}} 1.0",
        f"penstock_index_failed_refreshes{{{labels}}} 4.0",
        f'penstock_index_model_lag_seconds{{model="m-8@sha256:0",{labels}}} 5.0',
        f'penstock_index_model_behind_seconds{{model="m-8@sha256:0",{labels}}} 0.0',
    ):
        assert line in text, text
    assert re.search(rf"penstock_index_look_age_seconds\{{{labels}\}} \d+\.", text)
    with database.system() as connection:
        connection.execute("DELETE FROM sources")
    assert 'source="hello"' not in client.get("/metrics", headers=authorised).text
