"""Charts as inline SVG: forest plot, strata, cost against success, and success over time.

Drawn by hand rather than by a plotting library, so that a report stays small, takes its colours from the
page and can be read without one. Everything that comes from data is escaped.
"""

import math
from collections import Counter
from collections.abc import Sequence
from html import escape

from assets.evals.compare.breakdown import Scatter, Stratum
from assets.evals.compare.wording import estimate
from core.statistics import Effect, Interval, Verdict

WIDTH = 860
CLASS = {
    Verdict.BETTER: "better", Verdict.NOT_WORSE: "same", Verdict.WORSE: "worse", Verdict.INCONCLUSIVE: "open",
}  # fmt: skip


def _text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(said)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _dot(x: float, y: float, kind: str, size: float = 5) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" class="{kind}"/>'


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def forest(effects: Sequence[Effect]) -> str:
    """Effects with their 95% intervals, each in units of its own margin: left of -1 is worse than allowed."""
    shown = [effect for effect in effects if effect.gain is not None]
    if not shown:
        return ""
    left, right, row = 150.0, 520.0, 34.0
    ends = [abs(value / effect.allowance) for effect in shown for value in _ends(effect)]
    reach = min(6.0, max(2.0, max(ends, default=2.0) * 1.08))
    height = 34 + row * len(shown) + 34
    middle, scale = (left + right) / 2, (right - left) / (2 * reach)
    bottom = height - 34
    parts = [
        f'<rect x="{left}" y="24" width="{middle - scale - left:.1f}" height="{bottom - 24:.1f}" class="zone"/>',
        _line(middle, 24, middle, bottom, "axis"),
        _line(middle - scale, 24, middle - scale, bottom, "margin"),
        _text(middle - scale - 4, 16, "margin", "small", "end"),
        _text(middle - 4, 16, "no difference", "small"),
        _text(left, height - 12, "← worse", "small"),
        _text(right, height - 12, "better →", "small", "end"),
    ]
    for index, effect in enumerate(shown):
        y = 24 + row * (index + 0.5)
        low, high = (max(-reach, min(reach, value / effect.allowance)) for value in _ends(effect))
        kind = CLASS[effect.verdict] if effect.metric.role != "info" else "info"
        x1, x2 = middle + low * scale, middle + high * scale
        parts += [
            _text(left - 12, y + 4, effect.metric.name.replace("_", " "), "name", "end"),
            _line(x1, y, x2, y, f"bar {kind}"),
            _text(right + 16, y + 4, _short(effect), "small"),
        ]
        at = _gain(effect) / effect.allowance
        if abs(at) < reach:
            parts.append(_dot(middle + at * scale, y, kind))
        for x, cut in ((x1, low <= -reach), (x2, high >= reach)):
            parts.append(_text(x, y + 4, "◂" if x == x1 else "▸", f"arrow {kind}", "middle") if cut else "")
    return _svg(height, "Effects with 95% intervals, in units of each metric's margin", parts)


def _short(effect: Effect) -> str:
    low, high = (effect.interval.low, effect.interval.high) if effect.interval else (None, None)
    unit = " points" if effect.metric.kind == "rate" else ""
    ends = f"{estimate(effect, low)} to {estimate(effect, high)}"
    return f"{estimate(effect, effect.estimate)}{unit} ({ends}), {effect.cases} cases"


def _ends(effect: Effect) -> tuple[float, float]:
    gain = effect.gain
    return (gain.low, gain.high) if gain else (0.0, 0.0)


def _gain(effect: Effect) -> float:
    value = effect.estimate or effect.neutral
    if effect.metric.kind == "ratio":
        value = math.log(value) if value > 0 else -math.inf
    return value if effect.metric.better == "higher" else -value


def strata(rows: Sequence[Stratum], names: tuple[str, str]) -> str:
    """Success in each stratum, baseline above candidate, with Wilson's 95% intervals."""
    if not rows:
        return ""
    left, right, row = 230.0, 690.0, 38.0
    height = 46 + row * len(rows)
    scale = right - left
    parts = [_text(left, 16, f"● {names[0]}", "key baseline"), _text(left + 250, 16, f"● {names[1]}", "key candidate")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + scale * share
        parts += [_line(x, 26, x, height - 18, "grid"), _text(x, height - 4, f"{share:.0%}", "small", "middle")]
    for index, one in enumerate(rows):
        y = 28 + row * (index + 0.5)
        parts.append(_text(left - 12, y + 4, one.value, "name", "end"))
        for kind, shift, rate, interval in (
            ("baseline", -6, one.baseline, one.baseline_interval),
            ("candidate", 6, one.candidate, one.candidate_interval),
        ):
            parts += [*_rate(left, scale, y + shift, rate, interval, kind)]
        parts.append(
            _text(right + 14, y + 4, f"{one.baseline:.0%} to {one.candidate:.0%}, {one.cases} cases", "small")
        )  # fmt: skip
    return _svg(height, f"Success by {rows[0].name}", parts)


def _rate(left: float, scale: float, y: float, rate: float, interval: Interval, kind: str) -> list[str]:
    return [
        _line(left + scale * interval.low, y, left + scale * interval.high, y, f"bar thin {kind}"),
        _dot(left + scale * rate, y, kind, 4),
    ]


def cost_against_success(points: Sequence[tuple[str, float, float]]) -> str:
    """A point a subject: to the left is cheaper, up is more successful."""
    if not points:
        return ""
    left, right, top, bottom = 70.0, 520.0, 16.0, 220.0
    unit = points[0][0].rpartition("|")[2]
    most = max(cost for _, cost, _ in points) * 1.25 or 1.0
    parts = [_line(left, bottom, right, bottom, "axis"), _line(left, top, left, bottom, "axis")]
    for share in (0.0, 0.5, 1.0):
        y = bottom - (bottom - top) * share
        x = left + (right - left) * share
        parts += [_line(left, y, right, y, "grid"), _text(left - 8, y + 4, f"{share:.0%}", "small", "end")]
        parts.append(_text(x, bottom + 18, f"{most * share:.3g}", "small", "middle"))
    parts.append(_text((left + right) / 2, bottom + 36, f"mean {unit} of a case", "small", "middle"))
    for index, (label, cost, success) in enumerate(points):
        x, y = left + (right - left) * cost / most, bottom - (bottom - top) * success
        kind = ("baseline", "candidate")[min(index, 1)]
        parts += [_dot(x, y, kind, 7)]
        parts.append(_text(x + 12, y + 4 + (14 if index else -6), label.rpartition("|")[0], f"key {kind}"))
    return _svg(bottom + 46, f"{unit} against success", parts)


def scatter(found: Scatter, names: tuple[str, str]) -> str:
    """A dot a pair of amounts, baseline to the right and candidate up, larger for more cases, on logarithmic scales
    where amounts differ much: above the diagonal the candidate took more."""
    left, top, side = 64.0, 14.0, 300.0
    bottom, right = top + side, left + side
    values = [value for point in found.points for value in point]
    most, least = max(values) or 1.0, min(values)
    logarithmic = least > 0 and most / least > 8
    if logarithmic:
        low, high = math.log(least) - 0.05, math.log(most) + 0.05
        ticks = [least * (most / least) ** share for share in (0.0, 0.5, 1.0)]
    else:
        low, high = 0.0, most * 1.05
        ticks = [most * share for share in (0.0, 0.5, 1.0)]

    def at(value: float) -> float:
        return ((math.log(value) if logarithmic else value) - low) / (high - low)

    parts = [_line(left, bottom, right, bottom, "axis"), _line(left, top, left, bottom, "axis")]
    parts.append(_line(left, bottom, right, top, "margin same-amount"))
    for tick in ticks:
        x, y = left + side * at(tick), bottom - side * at(tick)
        parts += [
            _text(x, bottom + 16, f"{tick:.3g}", "small", "middle"),
            _text(left - 8, y + 4, f"{tick:.3g}", "small", "end"),
        ]
    parts += [
        _dot(left + side * at(one), bottom - side * at(other), "candidate faint", min(12.0, 3.0 * count**0.5))
        for (one, other), count in Counter(found.points).items()
    ]
    more = sum(other > one for one, other in found.points)
    fewer = sum(other < one for one, other in found.points)
    equal = len(found.points) - more - fewer
    parts.append(
        _text(
            (left + right) / 2, bottom + 36, f"{names[0]}{', ' + found.unit if found.unit else ''}", "small", "middle"
        )
    )
    parts.append(_text(right + 24, top + 14, f"↑ {names[1]}", "key candidate"))
    for row, said in enumerate(
        (f"{more} of {len(found.points)} cases took more", f"{fewer} took fewer", f"{equal} the same")
    ):
        parts.append(_text(right + 24, top + 40 + 20 * row, said, "small"))
    if found.cases > len(found.points):
        parts.append(_text(right + 24, top + 110, f"drawn: {len(found.points)} of {found.cases} cases", "small"))
    return _svg(bottom + 46, f"{found.metric} case by case", parts)


def trend(points: Sequence[tuple[str, str, float, Interval]]) -> str:
    """Success of run after run: label, subject, rate and interval, oldest first; a colour a subject."""
    if not points:
        return ""
    left, right, top, bottom = 60.0, WIDTH - 20.0, 16.0, 220.0
    subjects = list(dict.fromkeys(subject for _, subject, _, _ in points))
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - (bottom - top) * share
        parts += [_line(left, y, right, y, "grid"), _text(left - 8, y + 4, f"{share:.0%}", "small", "end")]
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
