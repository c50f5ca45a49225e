"""How a migration's facts are put into words: numbers, intervals, events, and where it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from assets.migrations.record import MOST_QUERIES, Migration, TimelineEvent


def headline(migration: Migration) -> str:
    """One sentence: where it is, and why."""
    text = f"{migration.old_name} to {migration.new_name}: {migration.state}"
    if migration.paused:
        text += ", paused"
    return f"{text}. {migration.reason}" if migration.reason else f"{text}."


def standing(migration: Migration) -> str:
    """As `headline`, without what the gate said, which `basis` tells."""
    reason = migration.reason or ""
    for part in ("a person: ", f" ({(migration.comparison or {}).get('reason')})"):
        reason = reason.replace(part, "")
    state = f"It is {migration.state}{', paused' if migration.paused else ''}"
    return f"{state}: {reason}." if reason and not migration.comparison else f"{state}. {_sentence(reason)}".strip()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""


def basis(comparison: Mapping[str, Any]) -> str:
    """What the verdict rests on."""
    counts, look = comparison["queries"], comparison.get("look", 1)
    again = f" Comparison {look}, held to {interval_name(comparison)}s." if look > 1 else ""
    return (
        f"Gate: {comparison['verdict']}, {comparison['reason']}. {counts['judged']} queries with known answers, "
        f"{counts['asked']} that were asked. Margin {comparison['margin']:g}, set before the start.{again}"
    )


def interval_name(comparison: Mapping[str, Any]) -> str:
    """Of which confidence the intervals of the verdict are."""
    return f"{100 * (1 - comparison.get('level', 0.05)):g}% interval"


def left_to_a_person(comparison: Mapping[str, Any], most: int) -> str:
    """What a migration waits for whose gate did not say that it is safe. `most` queries could be asked."""
    ways = ["cutover --accept", "or cancel"]
    if comparison.get("verdict") == "inconclusive" and (more := comparison.get("more_queries")):
        judged = comparison["queries"]["judged"]
        if judged >= most and (wanted := min(judged + more, MOST_QUERIES)) > most:
            ways.insert(0, f"compare --queries {wanted}")
        else:
            ways.insert(0, "compare once there are more commits or evals")
    return (
        f"a person: the gate says {comparison.get('verdict')} ({comparison.get('reason')}); "
        f"read `penstock migrate report`, then {', '.join(ways)}"
    )


def progress(migration: Migration) -> str:
    """How much is built, in one line."""
    done = migration.progress
    line = f"Built {done.get('chunks', 0)} of {done.get('total', 0)} chunks, {done.get('rate', 0):g} a second"
    left = done.get("seconds_left")
    return f"{line}, {left} s left." if left else f"{line}."


def told(event: TimelineEvent) -> str:
    """An event of the timeline in one line; what is long is told elsewhere in the report."""
    body = event.body
    if event.kind == "adapter" and "reason" in body:
        return f"adapter, {body.get('covered', 0):.0%} covered: {body['reason']}"
    if event.kind == "planned" and "chunks" in body:
        return f"planned: {plain(body['chunks'])} chunks"
    if event.kind == "compared" and "verdict" in body:
        return f"compared: {body['verdict']}"
    if event.kind == "evals":
        sets = ", ".join(f"{one['set_name']} {one['verdict']}" for one in body.get("sets", []))
        return f"evals: {sets or 'none'}"
    shown = {name: value for name, value in body.items() if not isinstance(value, dict | list)}
    facts = ", ".join(f"{name.replace('_', ' ')} {plain(value)}" for name, value in shown.items())
    return event.kind + (f": {facts}" if shown else "")


def last(events: Sequence[TimelineEvent], kind: str) -> dict[str, Any] | None:
    """The body of the last event of a kind."""
    return next((event.body for event in reversed(events) if event.kind == kind), None)


def plain(value: object) -> str:
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def interval(row: Mapping[str, Any]) -> str:
    return "-" if row["low"] is None else f"{row['low']:+.3f} to {row['high']:+.3f}"
