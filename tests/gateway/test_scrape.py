"""A scrape of the gateway: bounded in time and size, and honest about what it could not read."""

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from starlette.testclient import TestClient

import gateway.scrape
from core.credentials import Credentials
from core.database import Database
from core.events import DEFAULT_TEAM
from core.health.measures import GROUPS, Family, Group, Sample, Source
from core.health.measures.index import MOST_SOURCES
from core.settings import Settings
from gateway.app import create_app
from gateway.scrape import FAMILIES, Scraper

TOKEN = "a token for metrics"
SCRAPER = {"Authorization": f"Bearer {TOKEN}"}


def values(text: str) -> dict[str, float]:
    """Samples by name and labels, as `name{a=1,b=2}`."""
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def far(settings: Settings, credentials: Credentials) -> Iterator[Callable[[str], TestClient]]:
    """Clients of a gateway whose database is at some address."""
    opened: list[tuple[TestClient, Database]] = []

    def make(url: str) -> TestClient:
        database = Database(url, timeout=0.5)
        changed = settings.model_copy(update={"metrics_token": SecretStr(TOKEN)})
        client = TestClient(create_app(changed, database, credentials), raise_server_exceptions=False)
        opened.append((client, database))
        return client

    yield make
    for _, database in opened:
        database.close()


def test_a_scrape_while_the_database_is_down_says_so_and_shows_the_rest(far: Callable[[str], TestClient]) -> None:
    client = far("postgresql://x@127.0.0.1:1/x?connect_timeout=1")
    answer = client.get("/metrics", headers=SCRAPER)
    found = values(answer.text)
    assert (answer.status_code, found["penstock_database_up{}"]) == (200, 0)
    assert found["process_cpu_seconds_total{}"] > 0
    assert found["penstock_metrics_group_failed{group=queue}"] == 1
    assert found["penstock_metrics_group_failed{group=evals}"] == 0
    assert not any(name.startswith("penstock_tasks") for name in found), "no zeros that would be taken for the truth"
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer pst_unknown"}).status_code == 503


def test_a_database_that_hangs_does_not_hold_a_scrape_and_is_asked_once(
    far: Callable[[str], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.scrape, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = far(f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=60")
        for _ in range(3):
            began = time.monotonic()
            found = values(client.get("/metrics", headers=SCRAPER).text)
            assert time.monotonic() - began < 20
            assert found["penstock_database_up{}"] == 0
        assert sum(thread.name == "metrics" for thread in threading.enumerate()) <= 1


def test_a_group_that_fails_or_takes_too_long_leaves_the_others(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.scrape, "QUERY_SECONDS", 0.2)

    def read(query: str) -> Callable[[Source], list[Sample]]:
        return lambda source: [Sample("penstock_x", (), source.rows(query)[0][0])]

    family = (Family("penstock_x", "X."),)
    broken = Group("broken", family, read("SELECT no_such_column"))
    slow = Group("slow", family, read("SELECT pg_sleep(60)"))
    writing = Group("writing", family, read("INSERT INTO log_topics (topic) VALUES ('x') RETURNING 1"))
    scraper = Scraper(settings, database, (broken, slow, writing, *GROUPS))
    found = {
        (sample.name, *sample.labels.values()): sample.value for metric in scraper.read() for sample in metric.samples
    }
    failed = {key[1] for key, value in found.items() if key[0] == "penstock_metrics_group_failed" and value}
    assert failed == {"broken", "slow", "writing"}
    assert found["penstock_database_up",] == 1 and found["penstock_tasks", "queued"] == 0


def test_the_token_for_metrics_opens_nothing_else(
    make_client: Callable[..., TestClient], other_team: tuple[uuid.UUID, dict[str, str]]
) -> None:
    client = make_client(metrics_token=SecretStr(TOKEN))
    assert client.get("/metrics", headers=SCRAPER).status_code == 200
    for method, path in (("GET", "/tasks"), ("POST", "/tasks"), ("GET", "/audit"), ("POST", "/metrics")):
        assert client.request(method, path, headers=SCRAPER, json={}).status_code == 401, (method, path)
    assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}x"}).status_code == 401
    assert client.get("/metrics", headers=other_team[1]).status_code == 403
    assert make_client().get("/metrics", headers=SCRAPER).status_code == 401


def test_a_reading_is_shared_by_scrapes_at_once_and_reused_for_a_while(settings: Settings, database: Database) -> None:
    readings = []

    def read(_: Source) -> list[Sample]:
        readings.append(time.sleep(0.2))
        return [Sample("penstock_x", (), len(readings))]

    group = Group("x", (Family("penstock_x", "X."),), read, needs_database=False)
    for seconds, expected in ((0.0, 2), (60.0, 1)):
        readings.clear()
        scraper = Scraper(settings.model_copy(update={"metrics_seconds": seconds}), database, (group,))
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _, scraper=scraper: scraper.read(), range(8)))
        scraper.read()
        assert len(readings) == expected


def test_many_sources_and_hostile_names_keep_a_scrape_small(
    client: TestClient, database: Database, authorised: dict[str, str]
) -> None:
    with database.system() as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location) SELECT %s, repeat('x', 500) || n, '/srv' "
            "FROM generate_series(1, 600) n",
            (DEFAULT_TEAM,),
        )
        connection.execute(
            "INSERT INTO source_refreshes (team_id, source, tried_at, failed_at, failures, error) "
            "VALUES (%s, repeat('x', 500) || '600', now(), now(), 4, 'gone')",
            (DEFAULT_TEAM,),
        )
    text = client.get("/metrics", headers=authorised).text
    lines = [line for line in text.splitlines() if line.startswith("penstock_index_failed_refreshes{")]
    assert len(lines) == MOST_SOURCES and max(map(len, lines)) < 300
    assert any(line.endswith(" 4.0") for line in lines), "the source in trouble is among those that are shown"
    assert values(text)["penstock_index_sources{state=not indexed}"] == 599


def test_the_consumers_of_the_log_show_how_far_behind_they_are(
    client: TestClient, database: Database, authorised: dict[str, str], add_source: Callable[..., None]
) -> None:
    add_source()
    assert client.post("/tasks", headers=authorised, json={"source": "hello", "title": "t"}).status_code in (200, 202)
    with database.system() as connection:
        connection.execute("UPDATE event_log SET appended_at = now() - interval '5 minutes'")
        connection.execute(
            "INSERT INTO log_groups (consumer_group, topic, next_offset) VALUES ('penstock-tasks', 'penstock.tasks', 0)"
        )
    labels = "{consumer=penstock-tasks,topic=penstock.tasks}"
    found = values(client.get("/metrics", headers=authorised).text)
    assert found[f"penstock_log_lag_events{labels}"] == 1
    assert 299 < found[f"penstock_log_lag_seconds{labels}"] < 400
    with database.system() as connection:
        connection.execute("SELECT log_sequence('penstock.tasks', 10)")
    assert client.post("/tasks", headers=authorised, json={"source": "hello", "title": "t"}).status_code in (200, 202)
    found = values(client.get("/metrics", headers=authorised).text)
    assert found[f"penstock_log_lag_events{labels}"] == 2
    assert 299 < found[f"penstock_log_lag_seconds{labels}"] < 400, "the oldest unread one has an offset already"
    with database.system() as connection:
        connection.execute("SELECT log_sequence('penstock.tasks', 10)")
        connection.execute("UPDATE log_groups SET next_offset = 2")
    found = values(client.get("/metrics", headers=authorised).text)
    assert found[f"penstock_log_lag_events{labels}"] == found[f"penstock_log_lag_seconds{labels}"] == 0
    assert found["penstock_log_end_offset{topic=penstock.tasks}"] == 2


def test_parts_of_the_platform_are_up_only_while_their_processes_run(
    client: TestClient, settings: Settings, authorised: dict[str, str]
) -> None:
    from core.processes import ProcessName

    def shown() -> dict[str, float]:
        return values(client.get("/metrics", headers=authorised).text)

    import json
    import os

    mine = ProcessName.of(os.getpid())
    assert mine is not None
    file = settings.run_folder / "parts.json"
    gone = [2**22, 1, mine.boot]
    parts: list[Any] = [
        {"name": "gateway", "process": mine.stored(), "state": "up", "restarts": 2},
        {"name": "daemon", "process": gone, "state": "up", "restarts": 0},
        {"name": "warm", "process": mine.stored(), "state": "failing", "restarts": "many"},
        "nonsense",
    ]
    file.write_text(json.dumps({"parts": parts}))
    found = shown()
    assert [found[f"penstock_part_up{{part={part}}}"] for part in ("gateway", "daemon", "warm")] == [1, 0, 0]
    assert found["penstock_part_restarts{part=gateway}"] == 2
    for damaged in ("{", "[]", '{"parts": 3}', ""):
        file.write_text(damaged)
        assert not any(name.startswith("penstock_part_up") for name in shown())


def test_names_follow_the_conventions() -> None:
    for family in FAMILIES:
        assert family.name.startswith("penstock_") and family.help.endswith(".")
        assert not any(word in family.name for word in ("milli", "_ms", "minutes", "_mb", "percent")), family.name
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket")), family.name
        assert len(family.labels) <= 4


def test_the_folder_of_evals_is_not_made_by_a_scrape(client: TestClient, authorised: dict[str, str]) -> None:
    home: Path = client.app.state.gateway.settings.home  # type: ignore[attr-defined]
    client.get("/metrics", headers=authorised)
    assert not (home / "evals").exists()
