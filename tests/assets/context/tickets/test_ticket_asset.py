"""From an event to a search: the asset, its metadata, and earlier tickets similar to a task."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, build_sensor_context, define_asset_job, in_process_executor, materialize
from dagster._core.definitions.definitions_class import Definitions

import sensors.changes
from assets.context.tickets.assets import ticket_index
from assets.context.tickets.search import search_tickets
from assets.context.tickets.similar import similar_tickets, tickets_table
from assets.platform import Platform
from core import tasks
from core.database import Database
from core.events import CHANGES, DEFAULT_TEAM, Event
from core.settings import Settings
from core.tickets import TICKET_CHANGED
from sensors.changes import change_sensor

CREATED = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def platform(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setattr(sensors.changes, "TICK_SECONDS", 0.3)
    made = Platform(Settings(home=tmp_path, embedding_model="hashing"), database_url)
    with made.database.team(DEFAULT_TEAM) as connection:
        connection.execute("INSERT INTO sources (team_id, name, location) VALUES (%s, 'shop', '/srv')", (DEFAULT_TEAM,))
    yield made
    made.reader.close()
    made.close()


def event(number: int, title: str, **ticket: Any) -> Event:
    told = {
        "title": title,
        "body": f"about {title.lower()}",
        "state": "open",
        "url": f"https://example.org/{number}",
        "created_at": CREATED.isoformat(),
        **ticket,
    }
    change = {
        "service": "github",
        "project": "acme/shop",
        "key": f"#{number}",
        "kind": "issue",
        "action": "issues.opened",
    }
    data = {"change": {**change, "ticket": told}}
    return Event(id=f"github:{number}:{uuid.uuid4()}", source="/x", type=TICKET_CHANGED, subject="shop", data=data)


def test_an_event_becomes_searchable_through_the_sensor_and_the_asset(platform: Platform) -> None:
    platform.log.append([(CHANGES, event(1, "Total is wrong")), (CHANGES, event(1, "Total is wrong", state="closed"))])
    with DagsterInstance.ephemeral() as instance:
        result = change_sensor(build_sensor_context(instance=instance), platform=platform)
        [request] = result.run_requests  # type: ignore[union-attr]
        instance.add_dynamic_partitions("sources", [str(request.partition_key)])
        job = define_asset_job("refresh", selection=[ticket_index], executor_def=in_process_executor)
        defs = Definitions(assets=[ticket_index], jobs=[job], resources={"platform": platform})
        run = defs.resolve_job_def("refresh").execute_in_process(
            instance=instance, partition_key=request.partition_key, asset_selection=request.asset_selection
        )
        assert run.success
        [made] = run.asset_materializations_for_node("ticket_index")
    shown = {name: value.value for name, value in made.metadata.items()}
    assert (shown["tickets"], shown["changes_applied"], shown["texts"]) == (1, 2, 1)
    assert shown["tickets_by_state"] == {"issue closed": 1}
    assert "| `#1` | open | closed | issues.opened |" in shown["last_changes"]
    assert 0 < shown["lag_seconds_median"] < 600
    used = platform.models.in_use()
    hits = search_tickets(platform.database, DEFAULT_TEAM, "shop", "total", embedders=used.asked)
    assert [hit.key for hit in hits] == ["#1"]


def test_a_task_is_shown_earlier_tickets_like_it_but_not_its_own_nor_later_ones(
    platform: Platform, database: Database
) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    told = [
        event(1, "Total is wrong with | <b>discounts</b>", state="closed"),
        event(2, "Total is wrong"),
        event(3, "Total is wrong later", created_at=later),
    ]
    pull = event(4, "Count discounts once", state="merged", closes=["#1"], commit="c" * 40)
    platform.log.append([(CHANGES, one) for one in (*told, pull)])
    with DagsterInstance.ephemeral() as instance:
        change_sensor(build_sensor_context(instance=instance), platform=platform)
        instance.add_dynamic_partitions("sources", ["shop"])
        assert materialize(
            [ticket_index], instance=instance, partition_key="shop", resources={"platform": platform}
        ).success
    asked = tasks.request_event(DEFAULT_TEAM, "github:x", "/github", "shop", title="Total is wrong")
    with database.team(DEFAULT_TEAM) as connection:
        made = tasks.create_task(
            connection,
            platform.log,
            event=asked,
            source="shop",
            title="Total is wrong",
            body="with discounts",
            url="https://example.org/2",
        )
        task = tasks.get_task(connection, made)
    found = similar_tickets(database, task)
    assert [hit.key for hit in found] == ["#1", "#4"]
    table = tickets_table(found)
    assert (
        "[`#1`](https://example.org/1) | Total is wrong with \\| &lt;b>discounts&lt;/b> | closed | #4 at cccc" in table
    )
    assert tickets_table([]) == "none"
