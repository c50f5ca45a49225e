"""A real Prometheus scrapes a running gateway, evaluates every alert, and answers every query of the dashboards."""

import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from psycopg.types.json import Jsonb

from core import tasks
from core.attempts import Attempt
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import CHANGES, DEFAULT_TEAM, Event
from core.health.eval_status import EvalStatus, keep_status
from core.health.totals import Counts, Total
from core.processes import ProcessName
from core.settings import Settings
from core.states import TaskState
from core.work import Patch, TaskText, Verdict, VerdictKind

pytestmark = pytest.mark.services

OBSERVABILITY = Path(__file__).parents[2] / "deploy" / "observability"
TOKEN = "a token for metrics"


def _seed(database: Database, settings: Settings, round_: int) -> None:
    """Something of everything that happens on a platform; each round adds to it."""
    log = PostgresLog(database)
    event = tasks.request_event(DEFAULT_TEAM, f"github:{round_}", "/github", "shop", title="t")
    with database.team(DEFAULT_TEAM) as connection:
        task = tasks.create_task(connection, log, event=event, source="shop", title="t")
    attempt = Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="a", seconds=60, max_claims=9)
    for total in Total:
        attempt.counts.note(total, {Total.RELAUNCHES: "infrastructure", Total.RESULTS: "5"}.get(total, "x"), 3)
    attempt.give_back()
    attempt = Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="b", seconds=60, max_claims=9)
    attempt.put_output("execution", TaskText(title="t"), 1.0, Counts({(Total.SANDBOX_REFUSED, "unavailable"): 1.0}))
    patch = Patch(base_commit="1" * 40, diff=f"a diff {round_}\n")
    verdict = Verdict(verdict=VerdictKind.PASS, patch_sha256=patch.sha256, checks=())
    with attempt.fenced() as connection:
        attempt.save_verdict(connection, verdict, patch)
        attempt.close(connection, TaskState.RESOLVED, "r", {})
        for state in ("pending", "published"):
            connection.execute(
                "INSERT INTO publications (team_id, task_id, attempt, target, patch_sha256, body) "
                "VALUES (%s, %s, 1, 'git:shop', %s, %s) ON CONFLICT (task_id, attempt, target) "
                "DO UPDATE SET state = %s",
                (DEFAULT_TEAM, task, patch.sha256, Jsonb({"source": "shop"}), state),
            )
    PostgresLog(database).append([(CHANGES, Event(id=f"github:c{round_}", source="/github", type="x", subject="shop"))])
    parts = [
        {"name": name, "process": one and one.stored(), "state": "up", "restarts": round_}
        for name, one in (("gateway", ProcessName.of(os.getpid())), ("relay", None))
    ]
    (settings.run_folder / "parts.json").write_text(json.dumps({"parts": parts}))
    keep_status(
        settings.home / "evals",
        EvalStatus(
            set_name="repair", subject="search", run=str(round_), at=datetime.now(UTC), success=0.5, drifted=True,
            said="worse", verdict="worse",
        ),
    )  # fmt: skip


def _seed_index(database: Database) -> None:
    with database.system() as connection:
        for name in ("old", "new"):
            connection.execute("SELECT add_embedding_model(%s, 8)", (name,))
            connection.execute("UPDATE embedding_models SET name = identity, spec = '{}' WHERE identity = %s", (name,))
        connection.execute(
            "INSERT INTO sources (team_id, name, location) VALUES (%s, 'shop', '/srv/shop')", (DEFAULT_TEAM,)
        )
        connection.execute(
            "INSERT INTO index_versions (team_id, source, version, commit, branch, config, files, chunks, skipped, "
            "changed_at, visible_at) VALUES (%s, 'shop', 1, 'c', 'main', 'x', 1, 1, 0, now() - interval '9 s', now())",
            (DEFAULT_TEAM,),
        )
        connection.execute(
            "INSERT INTO source_indexes (team_id, source, version) VALUES (%s, 'shop', 1)", (DEFAULT_TEAM,)
        )
        connection.execute(
            "INSERT INTO version_models (team_id, source, version, model_id, complete_at) "
            "SELECT %s, 'shop', 1, id, now() FROM embedding_models",
            (DEFAULT_TEAM,),
        )
        connection.execute(
            "INSERT INTO model_migrations (old_model, new_model, options, plan, progress, comparison) "
            """SELECT o.id, n.id, '{}', '{}', '{"chunks": 3, "total": 4}', '{"safe": true}' """
            "FROM embedding_models o, embedding_models n WHERE o.identity = 'old' AND n.identity = 'new'"
        )
        connection.execute("UPDATE model_migrations SET state = 'building', state_at = now() - interval '1 hour'")
        connection.execute(
            "INSERT INTO log_groups (consumer_group, topic, next_offset) VALUES ('penstock-tasks', 'penstock.tasks', 0)"
        )


@pytest.fixture
def prometheus(prometheus_script: Any, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Starts Prometheus with our configuration, looking at one gateway, often."""
    started: list[Any] = []

    def start(gateway: str) -> Any:
        folder = tmp_path / "prometheus"
        folder.mkdir()
        (folder / "rules").symlink_to(OBSERVABILITY / "prometheus" / "rules")
        (folder / "token").write_text(TOKEN)
        config = yaml.safe_load((OBSERVABILITY / "prometheus" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        jobs = {one["job_name"]: one for one in config["scrape_configs"]}
        jobs["penstock-gateway"]["authorization"]["credentials_file"] = str(folder / "token")
        jobs["penstock-gateway"]["static_configs"] = [{"targets": [gateway.removeprefix("http://")]}]
        config["scrape_configs"] = [jobs["penstock-gateway"]]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        started.append(prometheus_script.start_prometheus(folder, folder / "prometheus.yml"))
        return started[-1]

    try:
        prometheus_script.program("prometheus")
    except prometheus_script.PrometheusMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield start
    for server in started:
        server.stop()


def _queries() -> Iterator[tuple[str, str]]:
    for path in sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                if target["datasource"]["type"] == "prometheus":
                    yield f"{path.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "30s")


def test_prometheus_answers_every_query_of_the_dashboards_and_evaluates_every_alert(
    run_gateway: Callable[..., Any],
    prometheus: Callable[[str], Any],
    database: Database,
    settings: Settings,
    sender: Any,
    http: httpx.Client,
) -> None:
    _seed_index(database)
    with run_gateway(PENSTOCK_METRICS_TOKEN=TOKEN, PENSTOCK_METRICS_SECONDS="0") as (_, url):
        server = prometheus(url)

        def ask(query: str) -> list[float]:
            answer = http.get(f"{server.url}/api/v1/query", params={"query": query}).json()
            assert answer["status"] == "success", answer
            values = [float(one["value"][1]) for one in answer["data"]["result"]]
            return [value for value in values if not math.isnan(value)]

        round_, until = 0, time.monotonic() + 120
        unanswered = {f"{where}: {query}": query for where, query in _queries()}
        assert len(unanswered) > 60
        while unanswered and time.monotonic() < until:
            round_ += 1
            _seed(database, settings, round_)
            payload = {"type": "task.requested", "data": {"source": "shop", "title": "t"}}
            for request in (sender.generic(payload), sender.generic(payload, secret="whsec_" + "A" * 32)):
                http.post(url + request.pop("url"), **request)
            time.sleep(2)
            unanswered = {where: query for where, query in unanswered.items() if not ask(query)}
        assert unanswered == {}
        assert ask("penstock_model_prompt_tokens_total") == [3.0 * round_]

        groups = http.get(f"{server.url}/api/v1/rules").json()["data"]["groups"]
        rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
        assert {rule["health"] for rule in rules.values()} == {"ok"}, rules
        assert rules.keys() == set(
            re.findall(r"alert: (\w+)", next(OBSERVABILITY.glob("prometheus/rules/*")).read_text())
        )
        for alert in ("PenstockPartDown", "PenstockEvalDrifted", "PenstockMigrationStalled"):
            assert rules[alert]["state"] in ("pending", "firing"), rules[alert]
        for alert in ("PenstockGatewayDown", "PenstockDatabaseDown", "PenstockMetricsIncomplete"):
            assert rules[alert]["state"] == "inactive", rules[alert]
        size = ask('scrape_samples_scraped{job="penstock-gateway"}')
        assert size[0] < 2000

    until = time.monotonic() + 60
    while ask('up{job="penstock-gateway"}') != [0.0]:
        assert time.monotonic() < until
        time.sleep(0.5)
