"""Reports of a migration for the operator who has to decide: as data, as Markdown for the UI, and as a page of HTML.

The decision comes first, then quality with intervals, evals, the worst regressions, speed and cost, coverage, and the
timeline. `page` makes the page.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.migrations.gate import evidence
from assets.migrations.gate.evidence import EvalEvidence
from assets.migrations.lifecycle import record
from assets.migrations.lifecycle.record import Migration, TimelineEvent
from assets.migrations.report import page, wording
from assets.migrations.report.wording import headline
from assets.shared.markdown import cell

__all__ = ["as_data", "as_html", "as_markdown", "headline", "read"]


def read(connection: Connection[TupleRow], number: int | None = None) -> tuple[Migration, list[TimelineEvent]]:
    """The migration with this number, by default the open or last one. Raises `MigrationRefused` when there is none."""
    migration = record.get(connection, number) if number is not None else record.current(connection)
    if migration is None:
        raise record.MigrationRefused("there is no migration yet: penstock migrate plan --to MODEL")
    return migration, record.timeline(connection, migration.id)


def as_data(migration: Migration, events: Sequence[TimelineEvent]) -> dict[str, Any]:
    """All facts, for JSON."""
    found = evidence.latest(events)
    return {
        "sentence": evidence.first_sentence(migration, found),
        **asdict(migration),
        "evals": [one.model_dump(mode="json") for one in found],
        "built": wording.last(events, "built"),
        "timeline": [asdict(event) for event in events],
    }


def as_html(migration: Migration, events: Sequence[TimelineEvent]) -> str:
    """One self-contained page."""
    return page.as_html(migration, events, evidence.latest(events))


def as_markdown(migration: Migration, events: Sequence[TimelineEvent]) -> str:
    found = evidence.latest(events)
    parts = [f"# Migration {migration.id}", "", f"**{cell(evidence.first_sentence(migration, found))}**", ""]
    parts += [cell(headline(migration)), ""]
    if observed := wording.observed(migration):
        parts += [cell(observed), ""]
    if migration.comparison:
        parts += _comparison(migration.comparison)
    parts += _evals(found)
    if migration.progress:
        parts += ["", wording.progress(migration)]
    if rows := wording.planned(migration, events):
        parts += ["", "| | estimated | measured |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    parts += ["", "| when | what |", "|---|---|"]
    parts += [
        f"| {event.at:%Y-%m-%d %H:%M:%S} | {cell(wording.event_line(event))} |"
        for event in events
        if event.kind != "progress"
    ]
    return "\n".join(parts) + "\n"


def _comparison(comparison: dict[str, Any]) -> list[str]:
    parts = [cell(wording.basis(comparison)), ""]
    parts += [
        f"| metric | old | new | BM25 alone | difference | {wording.interval_name(comparison)} | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    parts += [
        f"| {row['metric']} | {wording.number(row['old'])} | {wording.number(row['new'])} | "
        f"{wording.number(row.get('bm25'))} | {wording.signed(row['difference'])} | {wording.interval(row)} "
        f"| {row['verdict']} |"
        for row in comparison["metrics"]
    ]
    latency = comparison["latency_ms"]
    parts += ["", "| | old | new |", "|---|---|---|"]
    parts += [f"| {p} of a search, ms | {latency['old'][p]:g} | {latency['new'][p]:g} |" for p in ("p50", "p95")]
    if money := comparison.get("money_per_1000_queries"):
        parts.append(f"| money for 1,000 queries | {money['old']:g} | {money['new']:g} |")
    if storage := comparison.get("storage_bytes"):
        parts.append(f"| vectors on disk, MB | {storage['old'] / 1e6:.1f} | {storage['new'] / 1e6:.1f} |")
    if comparison["worst"]:
        parts += ["", "Worst regressions:", "", "| query | right | old first | new first |", "|---|---|---|---|"]
        parts += [
            f"| {cell(row['query'][:100])} | {cell(', '.join(row['relevant']))} "
            f"| {cell(', '.join(row['old'][:2]))} | {cell(', '.join(row['new'][:2]))} |"
            for row in comparison["worst"][:8]
        ]
    return parts


def _evals(found: Sequence[EvalEvidence]) -> list[str]:
    if not found:
        return []
    parts = ["", "| eval set | verdict | cases | |", "|---|---|---|---|"]
    parts += [
        f"| {cell(one.set_name)} {cell(one.set_version)}{'' if one.retrieval else ' (shown, not in the gate)'} "
        f"| {one.verdict} | {one.cases} | {cell(one.sentence)} |"
        for one in found
    ]
    return parts
