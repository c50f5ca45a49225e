"""Grafana's dashboards as code: `python -m deploy.observability.dashboards` writes them to grafana/dashboards.

Values that every gateway reads from the same database are joined by `max`; what a gateway counts itself, by `sum`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana" / "dashboards"
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """`queries` are PromQL by legend, or LogQL in a panel of kind `logs`. `unit` is Grafana's name of it."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    about: str = ""


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    panels: tuple[Panel, ...]
    variables: tuple[str, ...] = ()
    """Names of text fields."""


def _by(label: str, metric: str, function: str = "max", selector: str = "") -> dict[str, str]:
    return {f"{{{{{label}}}}}": f"{function} by ({label}) ({metric}{selector})"}


def _rates(label: str, metric: str, function: str = "max") -> dict[str, str]:
    return {f"{{{{{label}}}}}": f"{function} by ({label}) (rate({metric}{RATE}))"}


def _quantiles(metric: str, function: str = "sum", span: str = RATE) -> dict[str, str]:
    return {
        name: f"histogram_quantile({q}, {function} by (le) (rate({metric}_bucket{span})))"
        for name, q in (("half", 0.5), ("nine of ten", 0.9), ("99 of 100", 0.99))
    }


def _stat(title: str, query: str, unit: str = "short", about: str = "") -> Panel:
    return Panel(title, {title: query}, unit, "stat", 6, about)


DASHBOARDS = (
    Dashboard(
        "penstock-overview",
        "Penstock: overview",
        (
            _stat("Gateways up", 'sum(up{job=~"penstock-gateway.*"})'),
            _stat("Database answers", "max(penstock_database_up)"),
            _stat("Tasks under way", 'max(penstock_tasks{state="running"})'),
            _stat("Deliveries unaccounted for", "max(penstock_ledger_unaccounted)", about="Must be 0."),
            Panel("Deliveries a second", _rates("state", "penstock_deliveries_total", "sum"), "ops"),
            Panel("Refusals a second", _rates("code", "penstock_refused_total", "sum"), "ops"),
            Panel("Open tasks", _by("state", "penstock_tasks", selector='{state=~"queued|running|waiting"}')),
            Panel("Oldest open task", _by("state", "penstock_tasks_oldest_seconds"), "s"),
            Panel("Attempts an hour", {"{{outcome}}": "max by (outcome) (increase(penstock_attempts_total[1h]))"}),
            Panel("From event to result", _quantiles("penstock_event_to_result_seconds", "max", "[1h]"), "s"),
            Panel("Deliveries of the last day", {"{{outcome}}": "max by (outcome) (sum by (outcome, instance) "
                  "(penstock_ledger))"}),
            Panel("Published patches", _by("fate", "sum by (fate, instance) (penstock_published_patches)")),
        ),
    ),
    Dashboard(
        "penstock-task",
        "Penstock: one task",
        (
            Panel("What was logged about it", {"": '{service=~"penstock.*"} | json | task=`$task`'}, kind="logs",
                  width=24, about="Each line's trace_id finds the spans of it."),
            Panel("Warnings and errors", {"": '{service=~"penstock.*"} | json | task=`$task` | level=~`warning|error`'},
                  kind="logs", width=24),
            Panel("Tasks that waited beside it", _by("state", "penstock_tasks",
                  selector='{state=~"queued|running|waiting"}')),
            Panel("Slots", {"slots": "max(penstock_task_slots)", "running": 'max(penstock_tasks{state="running"})'}),
            Panel("Consumers behind", {"{{consumer}}": "max by (consumer, topic) (penstock_log_lag_seconds)"}, "s"),
            Panel("From event to result", _quantiles("penstock_event_to_result_seconds", "max", "[1h]"), "s"),
        ),
        ("task",),
    ),
    Dashboard(
        "penstock-models",
        "Penstock: models and cost",
        (
            Panel("Cost an hour", {"{{model}}": "max by (model) (increase(penstock_model_cost_money_total[1h]))"},
                  about="In the currency of the models' prices."),
            Panel("Cost so far", _by("model", "penstock_model_cost_money_total")),
            Panel("Prompt tokens a second", _rates("model", "penstock_model_prompt_tokens_total")),
            Panel("Tokens of answers a second", _rates("model", "penstock_model_completion_tokens_total")),
            Panel("Answers a second", _rates("model", "penstock_model_requests_total"), "ops"),
            Panel("Repeated requests a second", _rates("model", "penstock_model_retries_total"), "ops"),
            Panel("Time for an answer", {"{{model}}": f"max by (model) (rate(penstock_model_seconds_total{RATE})) / "
                  f"max by (model) (rate(penstock_model_requests_total{RATE}))"}, "s"),
            Panel("Cost of a resolved task", {"money": "sum(max by (model) (penstock_model_cost_money_total)) / "
                  'max(penstock_attempts_total{outcome="resolved"})'}),
        ),
    ),
    Dashboard(
        "penstock-index",
        "Penstock: index freshness",
        (
            Panel("Sources by state", _by("state", "penstock_index_sources")),
            Panel("Longest without a look", {"oldest": "max(penstock_index_oldest_look_age_seconds)"}, "s"),
            Panel("From change to searchable", _by("source", "penstock_index_lag_seconds"), "s"),
            Panel("Changes that wait", _by("source", "penstock_index_waiting_changes")),
            Panel("Oldest waiting change", _by("source", "penstock_index_waiting_seconds"), "s"),
            Panel("Failed refreshes in a row", _by("source", "penstock_index_failed_refreshes")),
            Panel("Since the last look", _by("source", "penstock_index_look_age_seconds"), "s"),
            Panel("Models behind", {"{{model}} {{source}}": "max by (model, source) "
                  "(penstock_index_model_behind_seconds)"}, "s"),
            Panel("From change to covered by a model", {"{{model}}": "max by (model) "
                  "(penstock_index_model_lag_seconds)"}, "s"),
        ),
    ),
    Dashboard(
        "penstock-migration",
        "Penstock: migration and evals",
        (
            Panel("Backfill", {"{{migration}} {{state}}": "max by (migration, state) "
                  "(penstock_migration_progress_ratio)"}, "percentunit"),
            Panel("Without progress", {"{{migration}} {{state}}": "max by (migration, state) "
                  "(penstock_migration_quiet_seconds)"}, "s"),
            Panel("Stalled", {"{{migration}}": "max by (migration) (penstock_migration_stalled)"}),
            Panel("The gate calls it safe", {"{{migration}}": "max by (migration) (penstock_migration_safe)"}),
            Panel("Success of evals", {"{{set}} {{subject}}": "max by (set, subject) (penstock_eval_success)"},
                  "percentunit"),
            Panel("Drifted", {"{{set}} {{subject}}": "max by (set, subject) (penstock_eval_drifted)"}),
            Panel("Verdicts", {"{{set}} {{subject}}: {{verdict}}": "max by (set, subject, verdict) "
                  "(penstock_eval_verdict)"}),
            Panel("Age of the newest run", {"{{set}} {{subject}}": "time() - max by (set, subject) "
                  "(penstock_eval_started_timestamp_seconds)"}, "s"),
        ),
    ),
    Dashboard(
        "penstock-reliability",
        "Penstock: reliability",
        (
            Panel("Answers of the gateway a second", _rates("status", "penstock_request_seconds_count", "sum"), "ops"),
            Panel("Time of webhooks", {name: query.replace("_bucket", '_bucket{route=~"/webhooks/.*"}')
                  for name, query in _quantiles("penstock_request_seconds").items()}, "s"),
            Panel("Consumers behind", {"{{consumer}} {{topic}}": "max by (consumer, topic) "
                  "(penstock_log_lag_seconds)"}, "s"),
            Panel("Events to read", {"{{consumer}} {{topic}}": "max by (consumer, topic) (penstock_log_lag_events)"}),
            Panel("Leases", _by("state", "penstock_leases")),
            Panel("Relaunches an hour", {"{{reason}}": "max by (reason) "
                  "(increase(penstock_attempt_relaunches_total[1h]))"}),
            Panel("Sandbox sessions a second", _rates("backend", "penstock_sandbox_sessions_total"), "ops"),
            Panel("Sandbox commands a second", _rates("backend", "penstock_sandbox_commands_total"), "ops"),
            Panel("Sandbox refusals an hour", {"{{reason}}": "max by (reason) "
                  "(increase(penstock_sandbox_refusals_total[1h]))"}),
            Panel("Commands that a limit ended, an hour", {"{{limit}}": "max by (limit) "
                  "(increase(penstock_sandbox_limit_kills_total[1h]))"}),
            Panel("Publications", _by("state", "penstock_publications")),
            Panel("Oldest pending publication", {"oldest": "max(penstock_publications_oldest_pending_seconds)"}, "s"),
            Panel("Dead letters", _by("kind", "penstock_dead_letters")),
            Panel("Parts of the platform", _by("part", "penstock_part_up")),
            Panel("Restarts of parts", _by("part", "penstock_part_restarts")),
            Panel("Events in the log", _by("topic", "penstock_log_end_offset")),
            Panel("Open event streams", {"streams": "sum(penstock_streams)"}),
            Panel("Time to read metrics", _by("group", "penstock_metrics_group_seconds"), "s"),
            Panel("Groups of metrics that failed", _by("group", "penstock_metrics_group_failed")),
            Panel("CPU of gateways", {"{{instance}}": f"rate(process_cpu_seconds_total{{job=~\"penstock.*\"}}{RATE})"}),
            Panel("Memory of gateways", {"{{instance}}": 'process_resident_memory_bytes{job=~"penstock.*"}'}, "bytes"),
            Panel("Versions", {"{{version}}": "count by (version) (penstock_build_info)"}),
        ),
    ),
)  # fmt: skip


def as_json(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana reads it from a file."""
    panels, left, top, row = [], 0, 0, 0
    for number, panel in enumerate(dashboard.panels, start=1):
        height = 4 if panel.kind == "stat" else 8
        if left + panel.width > 24:
            left, top, row = 0, top + row, 0
        place = {"x": left, "y": top, "w": panel.width, "h": height}
        left, row = left + panel.width, max(row, height)
        panels.append(_panel(number, panel, place))
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["penstock"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": name, "label": name, "type": "textbox", "query": ""} for name in dashboard.variables]
        },
        "panels": panels,
    }


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    kind = "loki" if panel.kind == "logs" else "prometheus"
    source = {"type": kind, "uid": kind}
    return {
        "id": number,
        "title": panel.title,
        "description": panel.about,
        "type": panel.kind,
        "gridPos": place,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend, "datasource": source}
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def rendered() -> dict[str, str]:
    """The files' content by name."""
    return {f"{one.uid}.json": json.dumps(as_json(one), indent=1) + "\n" for one in DASHBOARDS}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in rendered().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
