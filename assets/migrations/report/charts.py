"""The report's charts as inline SVG: no script, no network, colours that differ in brightness too."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from assets.migrations.lifecycle.record import TimelineEvent

STYLE = """
:root{--good:#12703c;--bad:#b3261e;--open:#8a5a00;--ink:#1b1f24;--soft:#5b6570;--line:#e4e7eb}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:2rem 1.2rem 4rem;color:var(--ink);
background:#fff}
h1{font-size:1.1rem;font-weight:600;color:var(--soft);margin:0 0 .4rem}
h2{font-size:1.2rem;margin:2.6rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .4rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}
td,th{padding:.3rem .8rem .3rem 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.banner{border-left:6px solid;padding:.8rem 1.2rem;border-radius:4px;margin:0 0 1rem}
.banner p{margin:.2rem 0}.banner .say{font-size:1.45rem;font-weight:650;line-height:1.3}
.good{color:var(--good);border-color:var(--good)}.bad{color:var(--bad);border-color:var(--bad)}
.open{color:var(--open);border-color:var(--open)}
.banner.good{background:#eef7f1}.banner.bad{background:#fbeeed}.banner.open{background:#fdf6e9}
.banner small,.banner .why{color:var(--ink)}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}
.tile{flex:1 1 9.5rem;border:1px solid var(--line);border-radius:6px;padding:.6rem .9rem}
.tile b{display:block;font-size:1.08rem;white-space:nowrap;
font-variant-numeric:tabular-nums}.tile span{color:var(--soft);font-size:.85rem}
details{margin:.4rem 0;border:1px solid var(--line);border-radius:6px;padding:.4rem .8rem}
details[open]{padding-bottom:.8rem}summary{cursor:pointer}small{color:var(--soft)}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:1.2rem}
.sides h3{font-size:.85rem;color:var(--soft);margin:.4rem 0 .2rem}
.sides ol{margin:0;padding-left:1.4rem;font-size:.86rem;overflow-wrap:anywhere}
.hit{font-weight:600;color:var(--good)}
.time{list-style:none;margin:0;padding:0 0 0 .5rem;border-left:2px solid var(--line)}
.time li{position:relative;padding:.15rem 0 .15rem 1rem;font-size:.92rem}
.time li:before{content:"";position:absolute;left:calc(-.5rem - 6px);top:.62rem;width:10px;height:10px;
border-radius:50%;background:#9db4cc}
.time time{color:var(--soft);font-variant-numeric:tabular-nums;margin-right:.7rem}
svg{max-width:100%;height:auto;display:block}
"""
_WIDTH, _LEFT, _RIGHT, _ROW = 920, 250, 100, 30
_GOOD, _BAD, _OPEN, _SOFT, _GRID = "#12703c", "#b3261e", "#8a5a00", "#5b6570", "#e4e7eb"
_OLD, _NEW = "#9db4cc", "#1f5fa8"


def intervals(rows: Sequence[Mapping[str, Any]], margin: float | None, *, judged: bool = False) -> str:
    """Each row's difference with its interval; the shaded side of minus `margin` is what may not be reached. Without
    one, or where rows were `judged`, colours follow their verdicts."""
    rows = [row for row in rows if row["low"] is not None]
    if not rows:
        return "<p>Too few queries for an interval.</p>"
    reach = 1.15 * max(margin or 1e-9, *(max(abs(row["low"]), abs(row["high"])) for row in rows))
    inner = _WIDTH - _LEFT - _RIGHT
    bottom = _ROW * len(rows) + 8

    def x(value: float) -> float:
        return float(round(_LEFT + inner * (value + reach) / (2 * reach), 1))

    parts = [_svg(_WIDTH, bottom + 44, "differences with 95% intervals")]
    if margin is not None:
        limit = x(-margin)
        parts += [
            f'<rect x="{_LEFT}" y="0" width="{limit - _LEFT:.1f}" height="{bottom}" fill="#fbeae9"/>',
            f'<line x1="{limit}" y1="0" x2="{limit}" y2="{bottom}" stroke="{_BAD}" stroke-dasharray="4 3"/>',
            f'<text x="{limit}" y="{bottom + 16}" text-anchor="middle" fill="{_BAD}">margin -{margin:g}</text>',
        ]
    parts += [
        *(
            f'<line x1="{x(step * reach)}" y1="0" x2="{x(step * reach)}" y2="{bottom}" stroke="{_GRID}"/>'
            for step in (-0.5, 0.5)
        ),
        f'<line x1="{x(0)}" y1="0" x2="{x(0)}" y2="{bottom}" stroke="#7b8794"/>',
        f'<text x="{x(0)}" y="{bottom + 34}" text-anchor="middle" fill="{_SOFT}">no difference</text>',
        f'<text x="{_LEFT}" y="{bottom + 34}" fill="{_SOFT}">← new is worse</text>',
        f'<text x="{_LEFT + inner}" y="{bottom + 34}" text-anchor="end" fill="{_SOFT}">new is better →</text>',
    ]
    for place, row in enumerate(rows):
        y = _ROW * place + 18
        if margin is not None and not judged:
            color = _GOOD if row["low"] > -margin else _BAD if row["high"] < 0 else _OPEN
        else:
            color = {"worse": _BAD, "inconclusive": _OPEN}.get(row["verdict"], _GOOD)
        parts += [
            f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(_short(str(row["metric"]), 36))}</text>',
            f'<path d="M{x(row["low"])} {y}H{x(row["high"])}M{x(row["low"])} {y - 5}v10M{x(row["high"])} {y - 5}v10" '
            f'stroke="{color}" stroke-width="2.5"/>',
            f'<circle cx="{x(row["difference"])}" cy="{y}" r="5.5" fill="{color}"/>',
            f'<text x="{_LEFT + inner + 14}" y="{y + 4}" fill="{color}">{row["difference"]:+.3f}</text>',
        ]
    return "".join([*parts, "</svg>"])


def split(counts: Mapping[str, int]) -> str:
    """How many queries are answered better, the same and worse, as one bar."""
    total = sum(counts.values())
    if not total:
        return ""
    parts, at = [_svg(_WIDTH, 62, "queries answered better, the same and worse")], 0.0
    for name, color in (("worse", _BAD), ("same", "#cfd6dd"), ("better", _GOOD)):
        width = _WIDTH * counts.get(name, 0) / total
        if width:
            parts.append(f'<rect x="{at:.1f}" y="4" width="{width:.1f}" height="28" fill="{color}"/>')
            side = {"worse": ("start", at), "better": ("end", at + width)}.get(name, ("middle", at + width / 2))
            parts.append(
                f'<text x="{side[1]:.1f}" y="52" text-anchor="{side[0]}" fill="{_SOFT}">'
                f"{counts[name]} {name} ({counts[name] / total:.0%})</text>"
            )
        at += width
    return "".join([*parts, "</svg>"])


def pairs(rows: Sequence[tuple[str, float, float, str]]) -> str:
    """Old and new side by side: (name, old, new, unit), each row on a scale of its own."""
    rows = [row for row in rows if max(row[1], row[2]) > 0]
    if not rows:
        return ""
    height, inner = 58 * len(rows), _WIDTH - _LEFT - 150
    parts = [_svg(_WIDTH, height, "old and new side by side")]
    for place, (name, old, new, unit) in enumerate(rows):
        y, scale = 58 * place + 6, inner / max(old, new)
        parts.append(f'<text x="{_LEFT - 12}" y="{y + 26}" text-anchor="end">{escape(_short(name, 36))}</text>')
        for offset, value, color, who in ((0, old, _OLD, "old"), (21, new, _NEW, "new")):
            shown = f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
            parts.append(
                f'<rect x="{_LEFT}" y="{y + offset}" width="{max(1.0, value * scale):.1f}" height="18" rx="2" '
                f'fill="{color}"/><text x="{_LEFT + value * scale + 8:.1f}" y="{y + offset + 14}">{shown} '
                f'{escape(unit)} <tspan fill="{_SOFT}">{who}</tspan></text>'
            )
    return "".join([*parts, "</svg>"])


def coverage(events: Sequence[TimelineEvent]) -> str:
    """Share of the chunks built, by time."""
    first, last = events[0].at, events[-1].at
    span = max(1e-9, (last - first).total_seconds())
    left, bottom, inner = 60, 170, _WIDTH - 60 - 20
    points = []
    for event in events:
        share = event.body.get("chunks", 0) / max(1, event.body.get("total", 1))
        points.append((left + inner * (event.at - first).total_seconds() / span, bottom - 150 * min(1.0, share)))
    if len(points) == 1:  # built in one go
        points = [(float(left), float(bottom)), (float(left + inner), points[0][1])]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    area = f"{points[0][0]:.1f},{bottom} {line} {points[-1][0]:.1f},{bottom}"
    form = "%H:%M:%S" if first.date() == last.date() else "%m-%d %H:%M"
    grid = "".join(
        f'<line x1="{left}" y1="{bottom - 150 * share}" x2="{left + inner}" y2="{bottom - 150 * share}" '
        f'stroke="{_GRID}"/><text x="{left - 8}" y="{bottom - 150 * share + 4}" text-anchor="end" fill="{_SOFT}">'
        f"{share:.0%}</text>"
        for share in (0.0, 0.5, 1.0)
    )
    return (
        f"{_svg(_WIDTH, bottom + 30, 'coverage over time')}{grid}"
        f'<polygon points="{area}" fill="#dbe9f9"/><polyline points="{line}" fill="none" stroke="{_NEW}" '
        f'stroke-width="2"/><text x="{left}" y="{bottom + 20}" fill="{_SOFT}">{first:{form}}</text>'
        f'<text x="{left + inner}" y="{bottom + 20}" text-anchor="end" fill="{_SOFT}">{last:{form}}</text></svg>'
    )


def _svg(width: int, height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" font-size="14" '
        'font-family="system-ui,sans-serif" fill="#1b1f24">'
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
