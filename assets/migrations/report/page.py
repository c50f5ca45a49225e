"""The migration's page of HTML: the decision first, then the evidence. Self-contained, no script, no network.

`wording` formats the text, and `templates/migration.html` lays it out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assets.migrations.gate import evidence
from assets.migrations.gate.evidence import EvalEvidence
from assets.migrations.lifecycle.record import Migration, TimelineEvent
from assets.migrations.report import wording
from assets.shared import charts
from assets.shared.charts import CLASS, Mark, Row
from assets.shared.pages import templates
from core.statistics import Interval

_VERDICT = {
    "Yes": "better",
    "Yes, if that is worth it": "open",
    "Done": "better",
    "No": "worse",
    "Rolled back": "worse",
}


def as_html(migration: Migration, events: Sequence[TimelineEvent], found: Sequence[EvalEvidence]) -> str:
    """One page. `found` is the current evidence from evals."""
    comparison = migration.comparison
    said = evidence.first_sentence(migration, found)
    progress = [
        (event.at, event.body.get("chunks", 0) / max(1, event.body.get("total", 1)))
        for event in events
        if event.kind == "progress"
    ]
    parts = {} if comparison is None else {
        "tiles": _tiles(comparison),
        "quality": _quality(comparison),
        "strata": _strata(comparison),
        "speed": _speed(migration, comparison, events),
    }  # fmt: skip
    return templates(Path(__file__).parent / "templates").get_template("migration.html").render(
        migration=migration,
        comparison=comparison,
        events=events,
        wording=wording,
        classes=CLASS,
        said=said,
        kind=_VERDICT.get(said.partition(":")[0], "open"),
        evals=[_evals(one) for one in found],
        coverage=charts.coverage(progress) if progress else "",
        planned=wording.planned(migration, events),
        **parts,
    )  # fmt: skip


def differences(rows: Sequence[Mapping[str, Any]], margin: float | None, *, judged: bool = False) -> str:
    """A chart of each row's difference with its interval. Colours follow the rows' verdicts if there is no margin or
    the rows were `judged`, else the margin."""

    def kind(row: Mapping[str, Any]) -> str:
        if margin is None or judged:
            return CLASS.get(row["verdict"], "better")
        return "better" if row["low"] > -margin else "worse" if row["high"] < 0 else "open"

    drawn = [
        Row(
            str(row["metric"]),
            (Mark(row["difference"], Interval(row["low"], row["high"]), kind(row)),),
            f"{row['difference']:+.3f}",
        )
        for row in rows
        if row["low"] is not None
    ]
    return charts.intervals(drawn, margin, "Differences with 95% intervals, new against old")


def _tiles(comparison: Mapping[str, Any]) -> list[tuple[str, str]]:
    tiles = [
        (f"{wording.number(row['old'])} → {wording.number(row['new'])}", str(row["metric"]))
        for row in comparison["metrics"]
    ]
    latency = comparison["latency_ms"]
    tiles.append((f"{latency['old']['p95']:.0f} → {latency['new']['p95']:.0f} ms", "95th percentile of searches"))
    if storage := comparison.get("storage_bytes"):
        tiles.append((f"{storage['old'] / 1e6:.1f} → {storage['new'] / 1e6:.1f} MB", "vectors on disk"))
    return tiles


def _quality(comparison: Mapping[str, Any]) -> dict[str, Any]:
    counts = comparison.get("changed") or {}
    kinds = (("worse", "worse"), ("same", "even"), ("better", "better"))
    return {
        "chart": differences(comparison["metrics"], comparison["margin"], judged=True),
        "changed": charts.parts_of_whole(
            [(name, counts.get(name, 0), kind) for name, kind in kinds], "Queries answered better, the same and worse"
        ),
        "names": (
            "metric", "old", "new", "BM25 alone", "difference", wording.interval_name(comparison), "queries", "verdict",
        ),
        "rows": [
            (
                row["metric"], wording.number(row["old"]), wording.number(row["new"]), wording.number(row.get("bm25")),
                wording.signed(row["difference"]), wording.interval(row), row["queries"],
                f"{row['verdict']}: {row['reason']}",
            )
            for row in comparison["metrics"]
        ],
    }  # fmt: skip


def _evals(one: EvalEvidence) -> dict[str, Any]:
    rows = [
        (
            row.name + ("" if row.role != "info" else " (info)"), wording.number(row.old), wording.number(row.new),
            wording.number(row.difference), wording.interval({"low": row.low, "high": row.high}), row.verdict,
        )
        for row in one.metrics
    ]  # fmt: skip
    drawn = [{**row.model_dump(), "metric": row.name} for row in one.metrics if not row.neutral]
    return {"found": one, "rows": rows, "chart": differences(drawn, None)}


def _strata(comparison: Mapping[str, Any]) -> dict[str, Any]:
    rows = comparison["strata"]
    if not rows:
        return {}
    main = [
        {**row, "metric": f"{row['name']} ({row['queries']})"}
        for row in rows
        if row.get("role", "primary") == "primary"
    ]
    named: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        named.setdefault((row["kind"], row["name"]), []).append(row)
    measured = [str(row["metric"]) for row in next(iter(named.values()))]
    return {
        "measured": measured,
        "chart": differences(main, comparison["margin"]),
        "names": ("", "", "queries", *(f"{name}: old, new, BM25" for name in measured)),
        "rows": [
            (
                kind, name, group[0]["queries"],
                *(" / ".join(wording.number(row.get(side)) for side in ("old", "new", "bm25")) for row in group),
            )
            for (kind, name), group in named.items()
        ],
    }  # fmt: skip


def _speed(migration: Migration, comparison: Mapping[str, Any], events: Sequence[TimelineEvent]) -> dict[str, Any]:
    latency, storage = comparison["latency_ms"], comparison.get("storage_bytes")
    money = comparison.get("money_per_1000_queries") or {"old": 0.0, "new": 0.0}
    bars = [(f"{p} of a search", latency["old"][p], latency["new"][p], "ms") for p in ("p50", "p95")]
    if storage:
        bars.append(("vectors on disk", storage["old"] / 1e6, storage["new"] / 1e6, "MB"))
    bars.append(("1,000 queries", money["old"], money["new"], "of money"))
    built = wording.last(events, "built") or {}
    facts = [f"Money for 1,000 queries: {money['old']:g} old, {money['new']:g} new."]
    if "seconds" in built:
        facts.append(
            f"Building took {wording.duration(built['seconds'])} for {built.get('chunks', 0):,} chunks and "
            f"cost {built.get('money', 0):g} of an estimated {migration.plan.get('money', 0):g}."
        )
    if comparison.get("agreement") is not None:
        facts.append(f"Both models find {comparison['agreement']:.0%} of the same files.")
    return {"chart": charts.side_by_side(bars, ("old", "new"), "Old and new side by side"), "facts": " ".join(facts)}
