"""Effects, counts and amounts as a person reads them."""

from core.counts import counted
from core.statistics import Effect

__all__ = ["amount", "change", "counted", "estimate", "level", "p_value"]


def change(effect: Effect) -> str:
    """An effect with its interval: `70.2% to 54.4% (-15.8 points, 95% interval -28.1 to -5.2)`."""
    if effect.estimate is None or effect.interval is None:
        return effect.reason
    ends = f"{estimate(effect, effect.interval.low)} to {estimate(effect, effect.interval.high)}"
    return f"{level(effect, effect.baseline)} to {level(effect, effect.candidate)} " + (
        f"({estimate(effect, effect.estimate)}{' points' if effect.metric.kind == 'rate' else ''}, 95% interval {ends})"
    )


def level(effect: Effect, value: float | None) -> str:
    """The mean of one side with its unit."""
    if value is None:
        return "none"
    if effect.metric.kind == "rate":
        return f"{100 * value:.1f}%"
    return f"{amount(value)} {effect.metric.unit}".rstrip()


def amount(value: float) -> str:
    """Three significant digits without an exponent: `6,310`, `0.0121`; `<0.001` for anything smaller but 0."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.0005 or value == 0 else "<0.001"


def estimate(effect: Effect, value: float | None) -> str:
    """A difference or ratio with its sign: in percentage points for rates, in percent for ratios."""
    if value is None:
        return "none"
    if effect.metric.kind == "rate":
        return f"{100 * value:+.1f}"
    if effect.metric.kind == "ratio":
        return f"{100 * (value - 1):+.1f}%"
    return f"{value:+.3g}"


def p_value(value: float | None) -> str:
    return "" if value is None else ("≤0.001" if value <= 0.001 else f"{value:.3f}")
