"""What `penstock index status` shows of a source: a row of its table, and the notes below it."""

from typing import TYPE_CHECKING

from dagster_project.cli.output import note

if TYPE_CHECKING:
    from assets.context.search import IndexStatus
    from core.health.freshness import SourceFreshness

COLUMNS = [
    "source", "state", "commit", "files", "chunks", "skipped", "models", "refreshed", "looked at", "lag", "waiting",
    "location",
]  # fmt: skip


def row(one: "IndexStatus") -> list[object]:
    return [
        one.source,
        one.state,
        (one.commit or "-")[:12],
        one.files,
        one.chunks,
        one.skipped_count,
        ", ".join(one.models) or "-",
        f"{one.visible_at:%Y-%m-%d %H:%M:%S}" if one.visible_at else "-",
        _ago(one.freshness.look_seconds if one.freshness else None),
        _seconds(one.freshness.lag_seconds if one.freshness else None),
        _waiting(one.freshness),
        one.location,
    ]


def explain(one: "IndexStatus", *, everything: bool) -> None:
    """Notes below the table: failed refreshes, texts without a vector and, with `everything`, where these are, models,
    quality checks and skipped files."""
    fresh = one.freshness
    if fresh and fresh.failures:
        times = f"{fresh.failures} times" if fresh.failures > 1 else "once"
        note(f"{one.source}: the refresh failed {times} since {fresh.failing_since:%Y-%m-%d %H:%M:%S}: {fresh.error}")
    if fresh and one.state == "unchecked":
        why = f": {fresh.look_error}" if fresh.look_error else ", since no platform is up or sweeps are switched off"
        note(
            f"{one.source}: whether its branch has moved on was last looked at {_ago(fresh.look_seconds)}{why}. "
            f"`penstock index refresh {one.source}` looks now"
        )
    if one.set_aside:
        _tell_set_aside(one, everything)
    if not everything:
        return
    for model in fresh.models if fresh else ():
        behind = "" if model.complete else f", has not covered the newest version for {_seconds(model.behind_seconds)}"
        note(f"{model.model}: lag {_seconds(model.lag_seconds)}{behind}")
    if one.gate:
        verdict = "passed" if one.gate.passed else "FAILED"
        note(f"quality gate of {one.gate.source}#{one.gate.version}: {verdict}")
        for check in one.gate.checks:
            note(f"  {'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}")
    for path, reason in one.skipped[:20]:
        note(f"skipped {path}: {reason}")
    if one.skipped_count > 20:
        note(f"{one.skipped_count - 20} more files were skipped: --json lists up to 1,000")


def _tell_set_aside(one: "IndexStatus", everything: bool) -> None:
    count = len(one.set_aside)
    texts = "1 text is" if count == 1 else f"{'at least ' if count >= 1000 else ''}{count} texts are"
    where = "" if everything else f"; `penstock index status {one.source}` says where"
    note(f"{one.source}: {texts} set aside, found by their words alone, and tried again each night{where}")
    for text in one.set_aside[:20] if everything else ():
        note(f"set aside {text.path}:{text.line}, of {text.model}: {text.reason}")
    if everything and count > 20:
        note(f"{count - 20} more were set aside: --json lists up to 1,000")


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2f} s"


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{_seconds(seconds)} ago"


def _waiting(fresh: "SourceFreshness | None") -> str:
    if not fresh or not fresh.waiting:
        return "-"
    return f"{fresh.waiting} for {_seconds(fresh.waiting_seconds)}"
