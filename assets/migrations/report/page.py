"""The migration's page of HTML: what to decide first, then what it rests on. Self-contained, no script, no network.

Whatever comes from repositories and queries is escaped. What is said, and in which words, is `report`'s.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from assets.migrations.gate import evidence
from assets.migrations.gate.evidence import EvalEvidence
from assets.migrations.lifecycle.record import Migration, TimelineEvent
from assets.migrations.report import charts, wording


def as_html(migration: Migration, events: Sequence[TimelineEvent], found: Sequence[EvalEvidence]) -> str:
    """One page. `found` is what evals say of the two models by now."""
    comparison = migration.comparison
    body = [_banner(migration, found)]
    if comparison:
        body += [_tiles(comparison), _quality(comparison)]
    body += _evals(found)
    if comparison:
        body += [_strata(comparison), _speed(migration, comparison, events)]
    if comparison and comparison["worst"]:
        regressions = (_regression(row, place < _OPEN_REGRESSIONS) for place, row in enumerate(comparison["worst"]))
        body.append(f"<h2>Worst regressions</h2>{''.join(regressions)}")
    if progress := [event for event in events if event.kind == "progress"]:
        body.append(f"<h2>Coverage over time</h2>{charts.coverage(progress)}")
    body.append(f"<h2>Timeline</h2>{_timeline(events)}")
    if rows := wording.planned(migration, events):
        note = f"Estimated from {wording.plain(migration.plan.get('sampled_chunks', 0))} chunks, before the start."
        beside = _table(("", "estimated", "really"), rows, numbers=range(1, 3))
        body.append(f"<h2>Plan</h2><p><small>{escape(note)}</small></p>{beside}")
    title = escape(f"Migration {migration.id}: {migration.old_name} to {migration.new_name}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{charts.STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _banner(migration: Migration, found: Sequence[EvalEvidence]) -> str:
    said = evidence.first_sentence(migration, found)
    kind = {"Yes": "good", "Done": "good", "No": "bad", "Rolled back": "bad"}.get(said.partition(":")[0], "open")
    why = [f"<p class=why>{escape(wording.standing(migration))}</p>"]
    if observed := wording.observed(migration):
        why.append(f"<p class=why>{escape(observed)}</p>")
    if migration.comparison:
        why.append(f"<p class=why><small>{escape(wording.basis(migration.comparison))}</small></p>")
    return (
        f"<h1>Migration {migration.id}: {escape(migration.old_name)} → {escape(migration.new_name)}</h1>"
        f'<div class="banner {kind}"><p class=say>{escape(said)}</p>{"".join(why)}</div>'
    )


def _tiles(comparison: Mapping[str, Any]) -> str:
    tiles = [
        (f"{wording.number(row['old'])} → {wording.number(row['new'])}", str(row["metric"]))
        for row in comparison["metrics"]
    ]
    latency = comparison["latency_ms"]
    tiles.append((f"{latency['old']['p95']:.0f} → {latency['new']['p95']:.0f} ms", "95% of searches"))
    if storage := comparison.get("storage_bytes"):
        tiles.append((f"{storage['old'] / 1e6:.1f} → {storage['new'] / 1e6:.1f} MB", "vectors on disk"))
    shown = "".join(f"<div class=tile><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in tiles)
    return f"<div class=tiles>{shown}</div>"


def _quality(comparison: Mapping[str, Any]) -> str:
    parts = [f"<h2>Quality</h2>{charts.intervals(comparison['metrics'], comparison['margin'], judged=True)}"]
    if counts := comparison.get("changed"):
        parts.append(f"<h3>Query by query</h3>{charts.split(counts)}")
    spread = wording.interval_name(comparison)
    names = ("metric", "old", "new", "BM25 alone", "difference", spread, "queries", "verdict")
    rows = [
        [
            row["metric"], wording.number(row["old"]), wording.number(row["new"]), wording.number(row.get("bm25")),
            wording.signed(row["difference"]), wording.interval(row), str(row["queries"]),
            f"{row['verdict']}: {row['reason']}",
        ]
        for row in comparison["metrics"]
    ]  # fmt: skip
    return "".join([*parts, _table(names, rows, numbers=range(1, 7))])


def _evals(found: Sequence[EvalEvidence]) -> list[str]:
    if not found:
        return []
    parts = ["<h2>Regression evals</h2>"]
    for one in found:
        kind = {"worse": "bad", "inconclusive": "open"}.get(one.verdict, "good")
        counts = "counts in the gate" if one.retrieval else "shown beside the gate"
        parts.append(
            f"<h3>{escape(one.set_name)} {escape(one.set_version)}: "
            f"<span class={kind}>{escape(one.verdict)}</span></h3>"
            f"<p>{escape(one.sentence)} <small>{one.cases} cases, {counts}; runs {escape(one.old_run)} and "
            f"{escape(one.new_run)}: penstock eval compare {escape(one.old_run)} {escape(one.new_run)}</small></p>"
        )
        names = ("metric", "old", "new", "difference or ratio", "95% interval", "verdict")
        rows = [
            [
                row.name + ("" if row.role != "info" else " (info)"), wording.number(row.old), wording.number(row.new),
                wording.number(row.difference), wording.interval({"low": row.low, "high": row.high}), row.verdict,
            ]
            for row in one.metrics
        ]  # fmt: skip
        drawn = [{**row.model_dump(), "metric": row.name} for row in one.metrics if not row.neutral]
        if any(row["low"] is not None for row in drawn):
            parts.append(charts.intervals(drawn, None))
        parts.append(_table(names, rows, numbers=range(1, 5)))
        for name, cases in (("the old model", one.lost), ("the new model", one.gained)):
            if cases:
                shown = ", ".join(cases[:12]) + (", …" if len(cases) > 12 else "")
                parts.append(f"<p><small>Found by {name} alone ({len(cases)}): {escape(shown)}</small></p>")
    return parts


def _strata(comparison: Mapping[str, Any]) -> str:
    rows = comparison["strata"]
    if not rows:
        return ""
    main = [
        {**row, "metric": f"{row['name']} ({row['queries']})"}
        for row in rows
        if row.get("role", "primary") == "primary"
    ]
    named: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        named.setdefault((row["kind"], row["name"]), []).append(row)
    measured = [str(row["metric"]) for row in next(iter(named.values()))]
    names = ("", "", "queries", *(f"{name}: old, new, BM25" for name in measured))
    cells = [
        [
            kind, name, str(group[0]["queries"]),
            *(" / ".join(wording.number(row.get(side)) for side in ("old", "new", "bm25")) for row in group),
        ]
        for (kind, name), group in named.items()
    ]  # fmt: skip
    return (
        f"<h2>By source and language</h2><p><small>{escape(measured[0])}; queries in brackets. Shown, not judged."
        f"</small></p>{charts.intervals(main, comparison['margin'])}{_table(names, cells, numbers=range(2, 6))}"
    )


def _speed(migration: Migration, comparison: Mapping[str, Any], events: Sequence[TimelineEvent]) -> str:
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
    return f"<h2>Speed, money and storage</h2>{charts.pairs(bars)}<p>{escape(' '.join(facts))}</p>"


_OPEN_REGRESSIONS = 3
"""The worst are seen without a click, also on paper."""


def _regression(row: Mapping[str, Any], opened: bool) -> str:
    def listed(name: str, paths: Sequence[str]) -> str:
        shown = [f"<li{' class=hit' if path in row['relevant'] else ''}>{escape(path)}</li>" for path in paths] or [
            "<li>nothing</li>"
        ]
        return f"<div><h3>{name}</h3><ol>{''.join(shown)}</ol></div>"

    columns = [listed("old model", row["old"]), listed("new model", row["new"])]
    if "bm25" in row:
        columns.append(listed("BM25 alone", row["bm25"]))
    return (
        f"<details{' open' if opened else ''}><summary>{escape(row['query'][:160])} "
        f"<small>{escape(row['source'])}, nDCG {row['old_ndcg']:.2f} → {row['new_ndcg']:.2f}</small></summary>"
        f'<div class="sides">{"".join(columns)}</div><p><small>Right: {escape(", ".join(row["relevant"]))}</small></p>'
        "</details>"
    )


def _timeline(events: Sequence[TimelineEvent]) -> str:
    rows = "".join(
        f"<li><time>{event.at:%Y-%m-%d %H:%M:%S}</time>{escape(wording.told(event))}</li>"
        for event in events
        if event.kind != "progress"
    )
    return f"<ul class=time>{rows}</ul>"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], numbers: range = range(0)) -> str:
    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if place in numbers else ''}>{escape(cell)}</{tag}>" for place, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head = f"<tr>{cells(names, 'th')}</tr>" if names else ""
    return f"<table>{head}{body}</table>"
