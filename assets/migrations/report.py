"""A migration told to a person who has to decide: as data, as Markdown for the UI, and as one page of HTML.

The verdict first, then quality with intervals, the worst regressions, speed and cost, coverage, and what
happened when. The page needs no network; whatever comes from repositories and queries is escaped.
"""

from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.markdown import cell
from assets.migrations import charts, record
from assets.migrations.record import Migration, TimelineEvent


def as_data(migration: Migration, events: Sequence[TimelineEvent]) -> dict[str, Any]:
    """Everything that is known, ready for JSON."""
    return {**asdict(migration), "timeline": [asdict(event) for event in events]}


def read(connection: Connection[TupleRow], number: int | None = None) -> tuple[Migration, list[TimelineEvent]]:
    """The migration of this number, else the open or last one. Raises `MigrationRefused` when there is none."""
    migration = record.get(connection, number) if number is not None else record.current(connection)
    if migration is None:
        raise record.MigrationRefused("there was no migration yet: penstock migrate plan --to MODEL")
    return migration, record.timeline(connection, migration.id)


def headline(migration: Migration) -> str:
    """One sentence: where it is, and why."""
    text = f"{migration.old_name} to {migration.new_name}: {migration.state}"
    if migration.paused:
        text += ", paused"
    return f"{text}. {migration.reason}" if migration.reason else f"{text}."


def as_markdown(migration: Migration, events: Sequence[TimelineEvent]) -> str:
    parts = [f"# Migration {migration.id}", "", cell(headline(migration)), ""]
    comparison = migration.comparison
    if comparison:
        parts += [f"**{comparison['verdict']}**: {cell(comparison['reason'])}", ""]
        parts += ["| metric | old | new | difference | 95% interval | verdict |", "|---|---|---|---|---|---|"]
        parts += [
            f"| {row['metric']} | {_number(row['old'])} | {_number(row['new'])} | {_signed(row['difference'])} "
            f"| {_interval(row)} | {row['verdict']} |"
            for row in comparison["metrics"]
        ]
        latency = comparison["latency_ms"]
        parts += ["", f"{_counts(comparison)} Margin {comparison['margin']:g}, set before the start.", ""]
        parts += ["| | old | new |", "|---|---|---|"]
        parts += [f"| {p} of a search, ms | {latency['old'][p]:g} | {latency['new'][p]:g} |" for p in ("p50", "p95")]
        if storage := comparison.get("storage_bytes"):
            parts.append(f"| vectors on disk, MB | {storage['old'] / 1e6:.1f} | {storage['new'] / 1e6:.1f} |")
        if comparison["worst"]:
            parts += ["", "Worst regressions:", "", "| query | right | old first | new first |", "|---|---|---|---|"]
            parts += [
                f"| {cell(row['query'][:100])} | {cell(', '.join(row['relevant']))} "
                f"| {cell(', '.join(row['old'][:2]))} | {cell(', '.join(row['new'][:2]))} |"
                for row in comparison["worst"][:8]
            ]
    if migration.progress:
        parts += ["", _progress_line(migration)]
    parts += ["", "| when | what |", "|---|---|"]
    parts += [
        f"| {event.at:%Y-%m-%d %H:%M:%S} | {cell(_told(event))} |" for event in events if event.kind != "progress"
    ]
    return "\n".join(parts) + "\n"


def as_html(migration: Migration, events: Sequence[TimelineEvent]) -> str:
    """One self-contained page."""
    comparison = migration.comparison
    body = [f"<h1>{escape(migration.old_name)} → {escape(migration.new_name)}</h1>"]
    verdict = comparison["verdict"] if comparison else migration.state
    kind = "good" if comparison and comparison["safe"] else "bad" if verdict == "worse" else "open"
    body.append(f'<p class="verdict {kind}">{escape(verdict)}</p><p>{escape(headline(migration))}</p>')
    if comparison:
        body.append(f"<p>{escape(comparison['reason'])}. {escape(_counts(comparison))}</p>")
        body.append(f"<h2>Quality</h2>{charts.intervals(comparison['metrics'], comparison['margin'])}")
        body.append(_metrics_table(comparison["metrics"]))
        if comparison["strata"]:
            rows = [{**row, "metric": f"{row['kind']} {row['name']}"} for row in comparison["strata"]]
            body.append(f"<h2>By source and language</h2>{charts.intervals(rows, comparison['margin'])}")
        body.append("<h2>Speed and storage</h2>" + _speed_table(comparison))
        if comparison["worst"]:
            body.append("<h2>Worst regressions</h2>" + "".join(_regression(row) for row in comparison["worst"]))
    progress = [event for event in events if event.kind == "progress"]
    if progress:
        body.append(f"<h2>Coverage over time</h2>{charts.coverage(progress)}")
    if migration.plan:
        items = "".join(
            f"<tr><td>{escape(str(k))}</td><td>{escape(str(v))}</td></tr>" for k, v in migration.plan.items()
        )
        body.append(f"<h2>Plan</h2><table>{items}</table>")
    rows_html = "".join(
        f"<tr><td>{event.at:%Y-%m-%d %H:%M:%S}</td><td>{escape(_told(event))}</td></tr>"
        for event in events
        if event.kind != "progress"
    )
    body.append(f"<h2>Timeline</h2><table>{rows_html}</table>")
    title = escape(f"Migration {migration.id}: {migration.old_name} to {migration.new_name}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{charts.STYLE}</style><body>{''.join(body)}</body></html>\n"
    )


def _metrics_table(rows: Sequence[dict[str, Any]]) -> str:
    cells = "".join(
        f"<tr><td>{escape(row['metric'])}</td><td>{_number(row['old'])}</td><td>{_number(row['new'])}</td>"
        f"<td>{_signed(row['difference'])}</td><td>{escape(_interval(row))}</td><td>{row['queries']}</td>"
        f"<td>{escape(row['verdict'])}: {escape(row['reason'])}</td></tr>"
        for row in rows
    )
    names = ("metric", "old", "new", "difference", "95% interval", "queries", "verdict")
    heads = "".join(f"<th>{name}</th>" for name in names)
    return f"<table><tr>{heads}</tr>{cells}</table>"


def _speed_table(comparison: dict[str, Any]) -> str:
    latency, storage = comparison["latency_ms"], comparison.get("storage_bytes")
    rows = [(f"{p} of a search, ms", f"{latency['old'][p]:g}", f"{latency['new'][p]:g}") for p in ("p50", "p95")]
    if storage:
        rows.append(("vectors on disk, MB", f"{storage['old'] / 1e6:.1f}", f"{storage['new'] / 1e6:.1f}"))
    if comparison.get("agreement") is not None:
        rows.append(("files that both find", "", f"{comparison['agreement']:.0%}"))
    cells = "".join(f"<tr><td>{name}</td><td>{one}</td><td>{other}</td></tr>" for name, one, other in rows)
    return f"<table><tr><th></th><th>old</th><th>new</th></tr>{cells}</table>"


def _regression(row: dict[str, Any]) -> str:
    def listed(paths: Sequence[str]) -> str:
        shown = [f"<li{' class=hit' if path in row['relevant'] else ''}>{escape(path)}</li>" for path in paths] or [
            "<li>nothing</li>"
        ]
        return f"<ol>{''.join(shown)}</ol>"

    return (
        f"<details><summary>{escape(row['query'][:160])} "
        f"<small>{escape(row['source'])}, nDCG {row['old_ndcg']:.2f} → {row['new_ndcg']:.2f}</small></summary>"
        f'<div class="sides"><div><h3>old</h3>{listed(row["old"])}</div>'
        f"<div><h3>new</h3>{listed(row['new'])}</div></div>"
        f"<p>Right: {escape(', '.join(row['relevant']))}</p></details>"
    )


def _progress_line(migration: Migration) -> str:
    progress = migration.progress
    line = (
        f"Built {progress.get('chunks', 0)} of {progress.get('total', 0)} chunks, {progress.get('rate', 0):g} a second"
    )
    left = progress.get("seconds_left")
    return f"{line}, {left} s left." if left else f"{line}."


def _counts(comparison: dict[str, Any]) -> str:
    counts = comparison["queries"]
    return f"{counts['judged']} queries with known answers, {counts['asked']} that were asked."


def _told(event: TimelineEvent) -> str:
    shown = {key: value for key, value in event.body.items() if not isinstance(value, dict | list)}
    return event.kind + (": " + ", ".join(f"{key} {value}" for key, value in shown.items()) if shown else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _interval(row: dict[str, Any]) -> str:
    return "-" if row["low"] is None else f"{row['low']:+.3f} to {row['high']:+.3f}"
