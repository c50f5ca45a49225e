"""Charts as inline SVG: intervals against a margin, rates, paired bars, scatter plots, shares over time.

Written as SVG directly, not by a plotting library, so that a page stays small and needs no scripts. Colours are
CSS classes of `templates/page.html`. All text from data is escaped.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from markupsafe import Markup

from core.statistics import Interval, Verdict

WIDTH = 860
CLASS = {
    Verdict.BETTER: "better", Verdict.NOT_WORSE: "same", Verdict.WORSE: "worse", Verdict.INCONCLUSIVE: "open",
}  # fmt: skip
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LONGEST_NAME = 48


@dataclass(frozen=True, slots=True)
class Mark:
    """A value with its interval, if it has one; `kind` is the CSS class that colours it."""

    value: float
    interval: Interval | None
    kind: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a chart: its name, its marks from top to bottom, and the note to the right of them."""

    name: str
    marks: tuple[Mark, ...]
    note: str


def intervals(rows: Sequence[Row], margin: float | None, title: str, furthest: float = math.inf) -> Markup:
    """Differences with their intervals; right is better. An interval that reaches into the zone left of minus
    `margin` may be worse than allowed. Values beyond `furthest` are cut off, with an arrow."""
    if not rows:
        return Markup()
    left, right = _columns(rows)
    ends = [abs(end) for row in rows for mark in row.marks for end in _ends(mark)]
    reach = min(furthest, max(2 * (margin or 1e-9), 1.08 * max(ends)))
    middle, scale = (left + right) / 2, (right - left) / (2 * reach)
    bottom = 24.0 + 34 * len(rows)
    parts = [_line(middle, 24, middle, bottom, "axis"), _text(middle - 4, 16, "no difference", "small")]
    if margin is not None:
        limit = middle - margin * scale
        parts += [
            _rect(left, 24, limit - left, bottom - 24, "zone"),
            _line(limit, 24, limit, bottom, "margin"),
            _text(limit - 4, 16, "margin" if margin == 1 else f"margin -{margin:g}", "small", "end"),
        ]
    parts += [
        _text(left, bottom + 22, "← worse", "small"),
        _text(right, bottom + 22, "better →", "small", "end"),
        *_rows(rows, 24, 34, lambda value: middle + scale * max(-reach, min(reach, value)), reach),
    ]
    return _svg(bottom + 34, title, parts)


def rates(rows: Sequence[Row], title: str, legend: Mapping[str, str] = {}) -> Markup:
    """Values from 0 to 1 with their intervals; `legend` maps CSS classes to their names."""
    if not rows:
        return Markup()
    left, right = _columns(rows)
    top, height = (28.0 if legend else 4.0), (38 if max(len(row.marks) for row in rows) > 1 else 28)
    bottom = top + height * len(rows)

    def x(value: float) -> float:
        return left + (right - left) * max(0.0, min(1.0, value))

    parts = [_text(left + 250 * n, 16, f"● {name}", f"key {kind}") for n, (kind, name) in enumerate(legend.items())]
    for share in _QUARTERS:
        parts += [_line(x(share), top - 2, x(share), bottom, "grid")]
        parts.append(_text(x(share), bottom + 16, f"{share:.0%}" if legend else f"{share:g}", "small", "middle"))
    return _svg(bottom + 20, title, [*parts, *_rows(rows, top, height, x)])


def _rows(
    rows: Sequence[Row], top: float, height: float, x: Callable[[float], float], reach: float = math.inf
) -> list[str]:
    """`x` converts a value to its coordinate. An end or a dot further than `reach` from 0 is drawn as an arrow."""
    left, right = _columns(rows)
    parts = []
    for index, row in enumerate(rows):
        middle, several = top + height * (index + 0.5), len(row.marks) > 1
        parts.append(_text(left - 12, middle + 4, _short(row.name), "name", "end"))
        parts.append(_text(right + 16, middle + 4, row.note, "small"))
        for place, mark in enumerate(row.marks):
            y = middle + 12 * (place - (len(row.marks) - 1) / 2)
            low, high = _ends(mark)
            if mark.interval is not None:
                parts.append(_line(x(low), y, x(high), y, f"bar{' thin' if several else ''} {mark.kind}"))
            parts += [_text(x(low), y + 4, "◂", f"arrow {mark.kind}", "middle")] if low < -reach else []
            parts += [_text(x(high), y + 4, "▸", f"arrow {mark.kind}", "middle")] if high > reach else []
            if abs(mark.value) < reach:
                parts.append(_dot(x(mark.value), y, mark.kind, 4 if several else 5))
    return parts


def _columns(rows: Sequence[Row]) -> tuple[float, float]:
    """The left and right edge of the plot: after the longest name, before the longest note."""
    left = 24 + 7.4 * max(len(_short(row.name)) for row in rows)
    return max(110.0, left), WIDTH - 28 - 6.6 * max(7, *(len(row.note) for row in rows))


def _ends(mark: Mark) -> tuple[float, float]:
    return (mark.interval.low, mark.interval.high) if mark.interval else (mark.value, mark.value)


def parts_of_whole(parts: Sequence[tuple[str, int, str]], title: str) -> Markup:
    """One stacked bar of counts: (name, count, CSS class) each. Empty if all counts are 0."""
    total, at, drawn = sum(count for _, count, _ in parts), 0.0, []
    for place, (name, count, kind) in enumerate(parts):
        width = WIDTH * count / total if total else 0.0
        if width:
            drawn.append(_rect(at, 4, width, 26, kind))
            anchor, share = {0: ("start", 0.0), len(parts) - 1: ("end", 1.0)}.get(place, ("middle", 0.5))
            drawn.append(_text(at + width * share, 48, f"{count} {name} ({count / total:.0%})", "small", anchor))
        at += width
    return _svg(56, title, drawn) if total else Markup()


def side_by_side(rows: Sequence[tuple[str, float, float, str]], names: tuple[str, str], title: str) -> Markup:
    """Two bars per row (name, baseline, candidate, unit), each row on its own scale. Rows of zeros are left out."""
    rows = [row for row in rows if max(row[1], row[2]) > 0]
    parts = []
    for place, (name, *amounts, unit) in enumerate(rows):
        y, scale = 54 * place + 6, (WIDTH - 170 - 190) / max(amounts)
        parts.append(_text(158, y + 25, _short(name), "name", "end"))
        for below, value, kind, whose in zip((0, 20), amounts, ("baseline", "candidate"), names, strict=True):
            shown = f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
            parts.append(_rect(170, y + below, max(1.0, value * scale), 17, kind))
            parts.append(_text(178 + value * scale, y + below + 13, f"{shown} {unit}, {whose}", "small"))
    return _svg(54 * len(rows), title, parts) if rows else Markup()


def cost_against_success(points: Sequence[tuple[str, float, float]]) -> Markup:
    """One point per subject: (`subject|unit`, cost, success rate). Left is cheaper, up is more successful."""
    if not points:
        return Markup()
    left, right, top, bottom = 70.0, 520.0, 16.0, 220.0
    unit = points[0][0].rpartition("|")[2]
    most = max(cost for _, cost, _ in points) * 1.25 or 1.0
    parts = [*_axes(left, right, top, bottom), *_shares(left, right, top, bottom, (0.0, 0.5, 1.0))]
    for share in (0.0, 0.5, 1.0):
        parts.append(_text(left + (right - left) * share, bottom + 18, f"{most * share:.3g}", "small", "middle"))
    parts.append(_text((left + right) / 2, bottom + 36, f"mean {unit} per case", "small", "middle"))
    for index, (label, cost, success) in enumerate(points):
        x, y = left + (right - left) * cost / most, bottom - (bottom - top) * success
        kind = ("baseline", "candidate")[min(index, 1)]
        parts += [_dot(x, y, kind, 7)]
        parts.append(_text(x + 12, y + 4 + (14 if index else -6), label.rpartition("|")[0], f"key {kind}"))
    return _svg(bottom + 46, f"{unit} against success", parts)


def scatter(points: Sequence[tuple[float, float]], cases: int, axes: tuple[str, str], title: str) -> Markup:
    """One dot per distinct pair (baseline on x, candidate on y), larger for more cases: above the diagonal the
    candidate took more. The scales are logarithmic if the amounts span a factor of more than 8. `cases` is the
    number of all cases, of which `points` may be a part."""
    left, top, side = 64.0, 14.0, 300.0
    bottom, right = top + side, left + side
    values = [value for point in points for value in point]
    most, least = max(values) or 1.0, min(values)
    logarithmic = least > 0 and most / least > 8
    if logarithmic:
        low, high = math.log(least) - 0.05, math.log(most) + 0.05
        ticks = [least * (most / least) ** share for share in (0.0, 0.5, 1.0)]
    else:
        low, high = 0.0, most * 1.05
        ticks = [most * share for share in (0.0, 0.5, 1.0)]

    def at(value: float) -> float:
        return side * ((math.log(value) if logarithmic else value) - low) / (high - low)

    parts = [*_axes(left, right, top, bottom), _line(left, bottom, right, top, "margin same-amount")]
    for tick in ticks:
        parts.append(_text(left + at(tick), bottom + 16, f"{tick:.3g}", "small", "middle"))
        parts.append(_text(left - 8, bottom - at(tick) + 4, f"{tick:.3g}", "small", "end"))
    parts += [
        _dot(left + at(one), bottom - at(other), "candidate faint", min(12.0, 3.0 * count**0.5))
        for (one, other), count in Counter(points).items()
    ]
    more = sum(other > one for one, other in points)
    fewer = sum(other < one for one, other in points)
    notes = [f"{more} of {len(points)} cases took more", f"{fewer} took less", f"{len(points) - more - fewer} the same"]
    notes += [f"shown: {len(points)} of {cases} cases"] if cases > len(points) else []
    parts.append(_text((left + right) / 2, bottom + 36, axes[0], "small", "middle"))
    parts.append(_text(right + 24, top + 14, f"↑ {axes[1]}", "key candidate"))
    parts += [_text(right + 24, top + 40 + 20 * row, note, "small") for row, note in enumerate(notes)]
    return _svg(bottom + 46, title, parts)


def trend(points: Sequence[tuple[str, str, float, Interval]]) -> Markup:
    """Success rate per run, oldest first: (label, subject, rate, interval). Each subject has a colour."""
    if not points:
        return Markup()
    left, right, top, bottom = 60.0, WIDTH - 20.0, 16.0, 220.0
    subjects = list(dict.fromkeys(subject for _, subject, _, _ in points))
    parts = _shares(left, right, top, bottom, _QUARTERS)
    step = (right - left) / len(points)
    before: dict[str, tuple[float, float]] = {}
    for index, (label, subject, rate, interval) in enumerate(points):
        x, y = left + step * (index + 0.5), bottom - (bottom - top) * rate
        kind = f"series{subjects.index(subject) % 6}"
        if subject in before:
            parts.append(_line(*before[subject], x, y, f"path {kind}"))
        before[subject] = (x, y)
        low, high = (bottom - (bottom - top) * end for end in (interval.low, interval.high))
        parts += [_line(x, low, x, high, f"bar thin {kind}"), _dot(x, y, kind, 4)]
        if len(points) <= 16:
            parts.append(_text(x, bottom + 16, label, "small", "middle"))
    for index, subject in enumerate(subjects[:12]):
        x, y = left + 200 * (index % 4), bottom + 38 + 18 * (index // 4)
        parts.append(_text(x, y, f"● {subject}", f"key series{index % 6}"))
    return _svg(bottom + 52 + 18 * ((len(subjects[:12]) - 1) // 4), "Success over time, by subject", parts)


def coverage(points: Sequence[tuple[datetime, float]]) -> Markup:
    """A share from 0 to 1 over time, oldest first, as an area. A single point is drawn as a line from 0 to it."""
    left, right, top, bottom = 60.0, WIDTH - 20.0, 16.0, 170.0
    (first, _), (last, _) = points[0], points[-1]
    span = (last - first).total_seconds()
    known = [((at - first).total_seconds() / span, share) for at, share in points] if span > 0 else [
        (0.0, 0.0), (1.0, points[-1][1])
    ]  # fmt: skip
    line = " ".join(
        f"{left + (right - left) * at:.1f},{bottom - (bottom - top) * min(1.0, share):.1f}" for at, share in known
    )
    form = "%H:%M:%S" if first.date() == last.date() else "%m-%d %H:%M"
    parts = [
        *_shares(left, right, top, bottom, (0.0, 0.5, 1.0)),
        f'<polygon points="{left},{bottom} {line} {right},{bottom}" class="candidate area"/>',
        f'<polyline points="{line}" class="candidate path"/>',
        _text(left, bottom + 20, f"{first:{form}}", "small"),
        _text(right, bottom + 20, f"{last:{form}}", "small", "end"),
    ]
    return _svg(bottom + 30, "Coverage over time", parts)


def _axes(left: float, right: float, top: float, bottom: float) -> list[str]:
    return [_line(left, bottom, right, bottom, "axis"), _line(left, top, left, bottom, "axis")]


def _shares(left: float, right: float, top: float, bottom: float, shown: Sequence[float]) -> list[str]:
    """The grid lines and labels of a vertical axis from 0% to 100%."""
    parts = []
    for share in shown:
        y = bottom - (bottom - top) * share
        parts += [_line(left, y, right, y, "grid"), _text(left - 8, y + 4, f"{share:.0%}", "small", "end")]
    return parts


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def _text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(said)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}"/>'


def _dot(x: float, y: float, kind: str, size: float = 5) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" class="{kind}"/>'


def _svg(height: float, title: str, parts: Sequence[str]) -> Markup:
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
