"""Formats a migration's facts as text: state, numbers, intervals, events."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from assets.migrations.lifecycle.record import MOST_QUERIES, Migration, TimelineEvent


def headline(migration: Migration) -> str:
    """One sentence: its state and the reason."""
    text = f"{migration.old_name} to {migration.new_name}: {migration.state}"
    if migration.paused:
        text += ", paused"
    return f"{text}. {migration.reason}" if migration.reason else f"{text}."


def standing(migration: Migration) -> str:
    """As `headline`, without the gate's reason, which `basis` states."""
    reason = migration.reason or ""
    for part in ("an operator: ", f" ({(migration.comparison or {}).get('reason')})"):
        reason = reason.replace(part, "")
    state = f"It is {migration.state}{', paused' if migration.paused else ''}"
    return f"{state}: {reason}." if reason and not migration.comparison else f"{state}. {_sentence(reason)}".strip()


def observed(migration: Migration) -> str:
    """The last observation after the cut-over; "" before it."""
    seen = migration.observation
    if not seen:
        return ""
    at = datetime.fromtimestamp(float(seen["at"]), UTC)
    text = f"Live at {at:%Y-%m-%d %H:%M:%S}: {seen['probes']} searches, {seen['failed']} failed"
    text += f", 95% within {seen['p95_ms']:.0f} ms"
    if seen.get("ndcg") is not None:
        text += f", nDCG {seen['ndcg']:.3f}"
        text += f" against {seen['old_ndcg']:.3f} of {migration.old_name}" if seen.get("old_ndcg") is not None else ""
    return f"{text}."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""


def basis(comparison: Mapping[str, Any]) -> str:
    """The gate's verdict, its reason, and the queries, margin and level on which it is based."""
    counts, look = comparison["queries"], comparison.get("look", 1)
    unjudged = comparison.get("unjudged_sources") or []
    silent = f" No query with a known answer is about {_listed(unjudged)}." if unjudged else ""
    again = f" Comparison {look}, judged by {interval_name(comparison)}s." if look > 1 else ""
    return (
        f"Gate: {comparison['verdict']}, {comparison['reason']}. {counts['judged']} queries with known answers, "
        f"{counts['asked']} user queries. Margin {comparison['margin']:g}, set before the start.{again}{silent}"
        f"{' ' if comparison.get('slower') else ''}{slower(comparison)}"
    )


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more sources"


def interval_name(comparison: Mapping[str, Any]) -> str:
    """The name of the verdict's intervals, with their confidence level."""
    return f"{100 * (1 - comparison.get('level', 0.05)):g}% interval"


def waits_for_operator(comparison: Mapping[str, Any], most: int) -> str:
    """What a migration waits for when its gate did not say that it is safe. `most`: the maximum number of queries."""
    ways = ["cutover --accept", "or cancel"]
    if comparison.get("verdict") == "inconclusive" and (more := comparison.get("more_queries")):
        judged = comparison["queries"]["judged"]
        if judged >= most and (wanted := min(judged + more, MOST_QUERIES)) > most:
            ways.insert(0, f"compare --queries {wanted}")
        else:
            ways.insert(0, "compare again once there are more commits or evals")
    return (
        f"an operator: the gate says {comparison.get('verdict')} ({comparison.get('reason')}); "
        f"read `penstock migrate report`, then {', '.join(ways)}"
    )


def slower(comparison: Mapping[str, Any]) -> str:
    """That searches become much slower, as a sentence; "" if they do not."""
    ratio = comparison.get("slower")
    if ratio is None:
        return ""
    old, new = (comparison["latency_ms"][side]["p95"] for side in ("old", "new"))
    return f"Searches take {ratio:g} times as long: 95% within {new:.0f} ms instead of {old:.0f} ms."


def waits_for_consent(comparison: Mapping[str, Any]) -> str:
    """What a migration waits for whose gate said that it is safe, but which may not cut over by itself."""
    found = slower(comparison)
    but = f", but {found[0].lower()}{found[1:-1]}" if found else ""
    return f"an operator: the gate says {comparison.get('verdict')}{but}; run `penstock migrate cutover`, or cancel"


def progress(migration: Migration) -> str:
    """How many chunks are built, in one line."""
    done = migration.progress
    line = f"Built {done.get('chunks', 0)} of {done.get('total', 0)} chunks, {done.get('rate', 0):g} a second"
    left = done.get("seconds_left")
    return f"{line}, {left} s left." if left else f"{line}."


def event_line(event: TimelineEvent) -> str:
    """An event of the timeline in one line; long values are elsewhere in the report."""
    body = event.body
    if event.kind == "planned" and "chunks" in body:
        return f"planned: {readable(body['chunks'])} chunks"
    if event.kind == "built" and "seconds" in body:
        spent = body.get("model_seconds")
        share = f", {spent / body['seconds']:.0%} of it embedding" if spent and body["seconds"] else ""
        anew = body.get("compared_anew", 0)
        return (
            f"built: {readable(body['chunks'])} chunks in {duration(body['seconds'])}{share}; "
            f"{readable(anew)} of them embedded again with the same result"
        )
    if event.kind == "compared" and "verdict" in body:
        return f"compared: {body['verdict']}"
    if event.kind == "evals":
        sets = ", ".join(f"{one['set_name']} {one['verdict']}" for one in body.get("sets", []))
        return f"evals: {sets or 'none'}"
    if list(body) == ["reason"]:
        return f"{event.kind}: {readable(body['reason'])}"
    shown = {name: value for name, value in body.items() if not isinstance(value, dict | list)}
    facts = ", ".join(f"{name.replace('_', ' ')} {readable(value)}" for name, value in shown.items())
    return event.kind + (f": {facts}" if shown else "")


def last(events: Sequence[TimelineEvent], kind: str) -> dict[str, Any] | None:
    """The body of the last event of a kind; None without one."""
    return next((event.body for event in reversed(events) if event.kind == kind), None)


def duration(seconds: float) -> str:
    """For example 12.3 s, 4 min 19 s, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def planned(migration: Migration, events: Sequence[TimelineEvent]) -> list[tuple[str, str, str]]:
    """(quantity, estimated, measured) of a build; "-" for what is not known or never measured."""
    plan, built = migration.plan, last(events, "built") or {}
    if not plan:
        return []
    storage = ((migration.comparison or {}).get("storage_bytes") or {}).get("new")
    speed = built["chunks"] / built["seconds"] if built.get("seconds") else None
    tokens = readable(built["tokens"]) if built.get("tokens") else "-"

    def both(name: str, show: Callable[[Any], str]) -> tuple[str, str]:
        before, after = (show(given[name]) if given.get(name) is not None else "-" for given in (plan, built))
        return before, after

    return [
        ("contents", readable(plan["contents"]) if "contents" in plan else "-", "-"),
        ("chunks", *both("chunks", readable)),
        ("tokens", both("tokens", readable)[0], tokens),
        (
            "time",
            f"{duration(plan['seconds'] / migration.chosen.share)}, of it {both('seconds', duration)[0]} embedding"
            if plan.get("seconds") is not None
            else "-",
            both("seconds", duration)[1],
        ),
        ("chunks a second", both("chunks_per_second", readable)[0], "-" if speed is None else f"{speed:,.3g}"),
        ("money", *both("money", readable)),
        ("vectors on disk", f"{plan.get('disk_bytes', 0) / 1e6:.1f} MB", f"{storage / 1e6:.1f} MB" if storage else "-"),
    ]


def readable(value: object) -> str:
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
