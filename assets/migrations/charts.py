"""The report's charts as inline SVG: intervals against the margin, and coverage over time."""

from collections.abc import Sequence
from html import escape
from typing import Any

from assets.migrations.record import TimelineEvent

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem}table{border-collapse:collapse}td,th{padding:.25rem .8rem
.25rem 0;text-align:left;border-bottom:1px solid #e4e7eb;vertical-align:top}.verdict{font-size:2rem;font-weight:600;
margin:.2rem 0}.good{color:#12703c}.bad{color:#b3261e}.open{color:#8a5a00}details{margin:.4rem 0}small{color:#5b6570}
.sides{display:flex;gap:2rem}.sides h3{font-size:.9rem;margin:.3rem 0}.hit{font-weight:600;color:#12703c}
svg{max-width:100%}
"""
_WIDTH, _LEFT, _RIGHT, _ROW = 860, 230, 90, 30


def intervals(rows: Sequence[dict[str, Any]], margin: float) -> str:
    """Each row's difference with its interval; the shaded side of minus `margin` is what may not be reached."""
    rows = [row for row in rows if row["low"] is not None]
    if not rows:
        return "<p>Too few queries for an interval.</p>"
    reach = 1.1 * max(margin, *(max(abs(row["low"]), abs(row["high"])) for row in rows))
    inner = _WIDTH - _LEFT - _RIGHT
    height = _ROW * len(rows) + 40

    def x(value: float) -> float:
        return float(round(_LEFT + inner * (value + reach) / (2 * reach), 1))

    limit = x(-margin)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="differences with 95% intervals" '
        'font-size="13" font-family="system-ui,sans-serif">',
        f'<rect x="{_LEFT}" y="0" width="{limit - _LEFT:.1f}" height="{height - 32}" fill="#fbeae9"/>',
        f'<line x1="{x(0)}" y1="0" x2="{x(0)}" y2="{height - 32}" stroke="#9aa4ae"/>',
        f'<line x1="{limit}" y1="0" x2="{limit}" y2="{height - 32}" stroke="#b3261e" stroke-dasharray="4 3"/>',
        f'<text x="{limit}" y="{height - 16}" text-anchor="end" fill="#b3261e">-{margin:g}</text>',
        f'<text x="{x(0)}" y="{height - 16}" fill="#5b6570">same</text>',
        f'<text x="{_LEFT}" y="{height - 1}" fill="#5b6570">new is worse</text>',
        f'<text x="{_LEFT + inner}" y="{height - 1}" text-anchor="end" fill="#5b6570">new is better</text>',
    ]
    for place, row in enumerate(rows):
        y = _ROW * place + 16
        color = "#12703c" if row["low"] > -margin else "#b3261e" if row["high"] < 0 else "#8a5a00"
        parts += [
            f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(str(row["metric"])[:32])}</text>',
            f'<line x1="{x(row["low"])}" y1="{y}" x2="{x(row["high"])}" y2="{y}" stroke="{color}" stroke-width="3"/>',
            f'<circle cx="{x(row["difference"])}" cy="{y}" r="5" fill="{color}"/>',
            f'<text x="{_LEFT + inner + 12}" y="{y + 4}">{row["difference"]:+.3f}</text>',
        ]
    return "".join([*parts, "</svg>"])


def coverage(events: Sequence[TimelineEvent]) -> str:
    """Share of the chunks built, by time."""
    first, last = events[0].at, events[-1].at
    span = max(1e-9, (last - first).total_seconds())
    height, inner = 180, _WIDTH - 60 - 20
    points = []
    for event in events:
        share = event.body.get("chunks", 0) / max(1, event.body.get("total", 1))
        points.append((60 + inner * (event.at - first).total_seconds() / span, 20 + (height - 50) * (1 - share)))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    area = f"60,{height - 30} {line} {points[-1][0]:.1f},{height - 30}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="coverage over time" font-size="13" '
        'font-family="system-ui,sans-serif">'
        f'<polygon points="{area}" fill="#dbe9f9"/><polyline points="{line}" fill="none" stroke="#1f5fa8" '
        f'stroke-width="2"/><text x="52" y="24" text-anchor="end" fill="#5b6570">100%</text>'
        f'<text x="52" y="{height - 30}" text-anchor="end" fill="#5b6570">0%</text>'
        f'<text x="60" y="{height - 8}" fill="#5b6570">{first:%H:%M:%S}</text>'
        f'<text x="{60 + inner}" y="{height - 8}" text-anchor="end" fill="#5b6570">{last:%H:%M:%S}</text></svg>'
    )
