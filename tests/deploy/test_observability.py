"""Alerts, dashboards and documentation of metrics agree with the metrics that there are; alerts fire when they should,
and only then."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.observability.dashboards import DASHBOARDS, FOLDER, rendered
from gateway.metrics import Metrics
from gateway.scrape import FAMILIES
from tests.deploy.alert_cases import CASES, Case

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "deploy" / "observability"
RULES = PLACE / "prometheus" / "rules" / "penstock.yml"
ELSEWHERE = {"up": {"job", "instance"}}
"""Series that Prometheus makes itself."""
ADDED = {"job", "instance", "le"}
_NAME = re.compile(r"\b(?:penstock|process|python)_[a-z0-9_]+\b|\bup\b")


def known() -> dict[str, set[str]]:
    """The labels of every series, by name."""
    found = {name: set(family.labels) for family in FAMILIES for name in family.series}
    metrics = Metrics()
    for instrument in (metrics.deliveries, metrics.refused, metrics.seconds, metrics.streams):
        metric = next(iter(instrument.describe()))
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
        found |= {metric.name + suffix: set(instrument._labelnames) for suffix in suffixes}
    for metric in metrics.registry.collect():
        for sample in metric.samples:
            found.setdefault(sample.name, set(sample.labels))
    return found | ELSEWHERE


def problems(query: str, series: dict[str, set[str]]) -> list[str]:
    """What is wrong with the names in a query."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', query)
    labels = [
        name.strip()
        for inside in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", bare)
        for name in inside.split(",")
        if name.strip()
    ]
    labels += re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"\"", bare)
    names = set(_NAME.findall(re.sub(r"\b(?:by|on)\s*\([^)]*\)|\{[^}]*\}", "", bare)))
    wrong = [f"no metric {name}" for name in sorted(names - set(series))]
    allowed = ADDED.union(*(series.get(name, set()) for name in names))
    return wrong + [f"no label {label}" for label in labels if label not in allowed] + ([] if names else ["no metric"])


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for path in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                if target["datasource"]["type"] == "prometheus":
                    yield f"{path.stem}: {panel['title']}", target["expr"]


def test_each_query_names_only_metrics_and_labels_that_there_are() -> None:
    series = known()
    assert {where: wrong for where, query in queries() if (wrong := problems(query, series))} == {}


@pytest.mark.parametrize(
    "query",
    [
        "max(penstock_task)",
        "rate(penstock_attempts[5m])",
        "max by (stat) (penstock_tasks)",
        'max(penstock_tasks{status="queued"})',
        "penstock_tasks + penstock_no_such_thing",
        "histogram_quantile(0.9, penstock_event_to_result_seconds)",
        "vector(1)",
    ],
)
def test_a_query_with_a_name_that_is_wrong_is_found(query: str) -> None:
    assert problems(query, known())


def test_each_metric_is_documented_and_each_documented_one_exists() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))
    ours = {name for name in known() if name.startswith("penstock_")}
    series = {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours}
    assert documented == series
    for name in re.findall(r"`(penstock_[a-z_]+)`", text):
        assert name in ours | series, name


def test_the_files_of_dashboards_are_what_the_code_makes() -> None:
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == rendered()
    assert {one.uid for one in DASHBOARDS} == {
        f"penstock-{name}" for name in ("overview", "task", "models", "index", "migration", "reliability")
    }
    for name, content in rendered().items():
        panels = json.loads(content)["panels"]
        spots = [
            (x, y)
            for panel in panels
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(spots) == len(set(spots)) and max(x for x, _ in spots) < 24, name


def test_each_alert_has_a_runbook_and_cases_and_each_runbook_an_alert() -> None:
    sections = re.findall(r"^## (\S+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    alerts = [rule["alert"] for rule in rules()]
    assert alerts == sections == [case.alert for case in CASES]
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning") and rule["annotations"]["summary"]


def test_files_for_grafana_and_loki_name_each_other(tmp_path: Path) -> None:
    sources = yaml.safe_load((PLACE / "grafana/provisioning/datasources/penstock.yml").read_text())["datasources"]
    used = {target["datasource"]["uid"] for text in rendered().values() for panel in json.loads(text)["panels"]
            for target in panel["targets"]}  # fmt: skip
    assert used == {one["uid"] for one in sources}
    loki = yaml.safe_load((PLACE / "loki/loki.yml").read_text())
    [loki_source] = [one for one in sources if one["uid"] == "loki"]
    assert loki_source["url"].endswith(f":{loki['server']['http_listen_port']}")


@pytest.fixture(scope="module")
def promtool(prometheus_script: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    try:
        program = prometheus_script.program("promtool")
    except prometheus_script.PrometheusMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    return lambda *arguments: subprocess.run(
        [str(program), *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


def _tests(cases: tuple[Case, ...], changed: list[dict[str, Any]], folder: Path) -> Path:
    """A file of promtool's unit tests over changed rules. It asks for labels and ignores the texts."""
    plain = [{key: value for key, value in rule.items() if key != "annotations"} for rule in changed]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": plain}]}))
    severity = {rule["alert"]: rule["labels"]["severity"] for rule in changed}
    found = []
    for case in cases:
        expected = [{"exp_labels": {**dict(case.labels), "severity": severity[case.alert]}}]
        for series, alerts in ((case.fires, expected), (case.quiet, [])):
            found.append(
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in series.items()],
                    "alert_rule_test": [{"eval_time": f"{case.after}m", "alertname": case.alert, "exp_alerts": alerts}],
                }
            )
    path = folder / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": found}))
    return path


def test_the_rules_and_the_configuration_are_valid(promtool: Callable[..., Any], tmp_path: Path) -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0 and f"{len(CASES)} rules found" in done.stdout, done.stdout + done.stderr
    given = (PLACE / "prometheus" / "prometheus.yml").read_text()
    token = tmp_path / "token"
    token.write_text("x")
    (tmp_path / "rules").symlink_to(RULES.parent)
    (tmp_path / "prometheus.yml").write_text(given.replace("/run/secrets/penstock_metrics_token", str(token)))
    done = promtool("check", "config", tmp_path / "prometheus.yml")
    assert done.returncode == 0 and "1 rule files found" in done.stdout, done.stdout + done.stderr
    (tmp_path / "broken.yml").write_text(
        RULES.read_text().replace("penstock_database_up) == 0", "penstock_database_up == 0")
    )
    assert promtool("check", "rules", tmp_path / "broken.yml").returncode != 0


def test_each_alert_fires_when_it_should_and_only_then(promtool: Callable[..., Any], tmp_path: Path) -> None:
    done = promtool("test", "rules", _tests(CASES, rules(), tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("expression", ["vector(1) == 2", "vector(1)"])
def test_an_alert_that_never_or_always_fires_is_caught_for_each_of_them(
    expression: str, promtool: Callable[..., Any], tmp_path: Path
) -> None:
    changed = [{**rule, "expr": expression} for rule in rules()]
    done = promtool("test", "rules", _tests(CASES, changed, tmp_path))
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert {case.alert for case in CASES if f"alertname: {case.alert}," in text} == {case.alert for case in CASES}
